//! What changed in the last hour, the newest first.

import { useState } from "preact/hooks";
import { ago, plural, time } from "../format.js";
import type { Page } from "../page.js";
import { Icon } from "./icon.js";

/** Lines shown at first. */
const FIRST = 8;

export const Changes = ({ page }: { page: Page }) => {
  const [isAll, setAll] = useState(false);
  const changes = page.changes.value;
  const now = page.now.value;
  const history = page.histories.value.get(10);
  const shown = isAll ? changes : changes.slice(0, FIRST);
  return (
    <section class="panel changes" id="changes" tabIndex={-1} aria-labelledby="changes-title">
      <h2 id="changes-title">What changed in the last hour</h2>
      {changes.length === 0 && <p class="empty">Nothing that the page could see.</p>}
      <ol>
        {shown.map(({ at, severity, gateway, what, text }) => (
          <li key={`${at} ${gateway} ${what} ${text}`} class={severity}>
            <Icon name={severity} />
            <p>
              {text}
              <small>
                {time(at)}, {ago((now - at) / 1000)}
              </small>
            </p>
          </li>
        ))}
      </ol>
      {changes.length > FIRST && (
        <button type="button" class="link" onClick={() => setAll(!isAll)}>
          {isAll ? "Show fewer" : `Show all ${plural(changes.length, "change")}`}
        </button>
      )}
      <p class="note">
        Gateways coming and leaving, Redis, shares of rungs that moved by 10 points: from an hour's history in
        steps of 10 s{history === "loaded" ? "" : " (not loaded yet)"}. Resets, losses and drains: since this
        page was opened.
      </p>
    </section>
  );
};
