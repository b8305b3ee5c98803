//! The page: heading, what is wrong with what is shown, the view, and what lies over it.

import { useEffect, useRef } from "preact/hooks";
import type { Page } from "../page.js";
import { RANGES, type RangeName, VIEWS, type View } from "../route.js";
import { setTheme, THEMES, theme } from "../theme.js";
import { Banner, LinkState } from "./banner.js";
import { Channels } from "./channels.js";
import { Confirm } from "./confirm.js";
import { Connections } from "./connections.js";
import { Fleet } from "./fleet.js";
import { Icon } from "./icon.js";
import { Notices } from "./notices.js";

const NAMES: Record<View, string> = { fleet: "Fleet", channels: "Channels", connections: "Connections" };
const THEME_ICONS = { system: "system", light: "sun", dark: "moon" } as const;
const THEME_WORDS = { system: "as the system", light: "light", dark: "dark" } as const;

export const App = ({ page }: { page: Page }) => {
  const main = useRef<HTMLElement>(null);
  useKeys(page);
  const { view } = page.route.value;
  const isStale = page.deaf.value !== null && page.heardAt.value > 0;
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the figures
      </button>
      <Heading page={page} />
      <Banner page={page} />
      <main id="main" tabIndex={-1} ref={main} class={isStale ? "stale" : ""}>
        {view === "fleet" && <Fleet page={page} />}
        {view === "channels" && <Channels page={page} />}
        {view === "connections" && <Connections page={page} />}
      </main>
      <footer>
        <span>
          Keys: <kbd>/</kbd> search, <kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> views, <kbd>↑</kbd> <kbd>↓</kbd>{" "}
          rows, <kbd>Enter</kbd> open, <kbd>Esc</kbd> close
        </span>
        <span>Times are this browser's. Figures are of the last second unless said otherwise.</span>
      </footer>
      <Confirm page={page} />
      <Notices page={page} />
    </>
  );
};

const Heading = ({ page }: { page: Page }) => {
  const { view, range } = page.route.value;
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  return (
    <header class="heading">
      <h1>
        <svg class="mark" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
          <path d="M3 3v10M6.3 3v10M9.6 3v10M12.9 3v10M1 11 15 5" />
        </svg>
        Tally <span>ops</span>
      </h1>
      <nav aria-label="Views">
        {VIEWS.map((name) => (
          <button
            type="button"
            key={name}
            aria-current={view === name ? "page" : undefined}
            onClick={() =>
              page.go({ view: name, gateway: null, channel: null, connection: null, search: "" })
            }
          >
            {NAMES[name]}
          </button>
        ))}
      </nav>
      <LinkState page={page} />
      <fieldset class="ranges" aria-label="Range of the charts">
        {(Object.keys(RANGES) as RangeName[]).map((name) => (
          <button
            type="button"
            key={name}
            aria-pressed={range === name}
            onClick={() => page.go({ range: name })}
          >
            {RANGES[name].words}
          </button>
        ))}
      </fieldset>
      <button
        type="button"
        class="quiet theme"
        aria-label={`Colours: ${THEME_WORDS[theme.value]}. Change to ${THEME_WORDS[next]}`}
        title={`Colours: ${THEME_WORDS[theme.value]}`}
        onClick={() => setTheme(next)}
      >
        <Icon name={THEME_ICONS[theme.value]} />
      </button>
    </header>
  );
};

/** `/` searches, digits change the view, Escape closes what is open. */
const useKeys = (page: Page) => {
  useEffect(() => {
    const handle = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || page.confirming.peek() !== null) return;
      const isTyping = event.target instanceof HTMLInputElement;
      if (event.key === "Escape") return closeTop(page, isTyping ? (event.target as HTMLInputElement) : null);
      if (isTyping) return;
      const view = VIEWS[Number(event.key) - 1];
      if (view !== undefined) page.go({ view, gateway: null, channel: null, connection: null, search: "" });
      if (event.key !== "/") return;
      event.preventDefault();
      if (page.route.peek().view === "fleet") page.go({ view: "channels" });
      requestAnimationFrame(() => document.querySelector<HTMLInputElement>("input[type=search]")?.focus());
    };
    addEventListener("keydown", handle);
    return () => removeEventListener("keydown", handle);
  }, [page]);
};

const closeTop = (page: Page, input: HTMLInputElement | null) => {
  const { gateway, channel, connection, search } = page.route.peek();
  if (gateway !== null || channel !== null || connection !== null) {
    page.go({ gateway: null, channel: null, connection: null });
  } else if (search !== "") page.go({ search: "" });
  else input?.blur();
};
