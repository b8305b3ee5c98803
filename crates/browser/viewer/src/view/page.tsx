//! The frame of the page: who we are, how the link is, the jobs on the left, one channel on the right.

import { useEffect } from "preact/hooks";
import type { App } from "../model/app";
import { beat, second } from "../model/beat";
import { clock } from "../model/words";
import { ChannelView } from "./channel";
import { Alert, Cross, Mark } from "./icons";
import { JobList } from "./jobs";

export const Page = ({ app }: { app: App }) => {
  useKeys(app);
  const route = app.route.value;
  return (
    <div class={route === null ? "page at-list" : "page at-channel"}>
      <header class="top">
        <a
          class="brand"
          href="./"
          onClick={(event) => {
            event.preventDefault();
            app.open(null);
          }}
        >
          <Mark />
          <h1>Tally</h1>
        </a>
        <p class="motto">Every event in full, counted, or summarised. None lost without an account.</p>
        <Link app={app} />
      </header>
      <Troubles app={app} />
      <div class="panes">
        <JobList app={app} />
        <main>{route === null ? <Invitation app={app} /> : <Shown app={app} key={route} />}</main>
      </div>
      <Notices app={app} />
    </div>
  );
};

const Shown = ({ app }: { app: App }) => {
  const { value: channel } = app.shown;
  return channel ? <ChannelView app={app} channel={channel} /> : null;
};

const Link = ({ app }: { app: App }) => {
  const { status } = app.link.value;
  const isAway = app.brokerAway.value !== null;
  const word =
    status === "connected"
      ? isAway
        ? "broker away"
        : "live"
      : status === "connecting"
        ? "connecting"
        : "offline";
  const tone = status === "connected" ? (isAway ? "warn" : "good") : "bad";
  return (
    <p class={`link ${tone}`} role="status">
      <i aria-hidden="true" />
      <b>{word}</b>
      <span>{location.host}</span>
    </p>
  );
};

/** What is wrong with the way here, in words; nothing where all is well. */
const Troubles = ({ app }: { app: App }) => {
  const { status, retryInMs, reason } = app.link.value;
  const since = app.linkSince.value;
  const away = app.brokerAway.value;
  if (status === "connected" && away !== null) {
    return (
      <div class="trouble warn" role="alert">
        <Alert />
        <p>
          <b>The gateway cannot reach the broker</b> since {clock(away)}. Nothing new comes meanwhile; what is
          missed will be counted, exactly.
        </p>
      </div>
    );
  }
  // A moment is no trouble.
  if (status === "connected" || second.value - since < 1_500) return null;
  const isFinal = status === "disconnected";
  const back = retryInMs === null ? null : Math.ceil((since + retryInMs - second.value) / 1000);
  const next = back !== null && back > 0 ? `The next attempt is in ${back} s.` : "Trying now.";
  return (
    <div class="trouble bad" role="alert">
      <Alert />
      <p>
        <b>{isFinal ? "The gateway sent this page away" : "No connection to the gateway"}</b>
        {reason ? `: ${reason}. ` : ". "}
        {isFinal ? "" : `${next} The account goes on where it was.`}
      </p>
      <button type="button" onClick={() => app.client.connect()}>
        Connect now
      </button>
    </div>
  );
};

const Invitation = ({ app }: { app: App }) => {
  beat.value;
  return (
    <div class="invitation">
      <Mark />
      <h2>{app.jobs.size > 0 ? "Choose a job" : "Nothing to show yet"}</h2>
      <p class="soft">
        {app.jobs.size > 0
          ? "Its output appears here, with an exact account of what you saw and what you were only told about."
          : "Jobs appear on the left when they start. Any other channel opens by its name."}
      </p>
    </div>
  );
};

const Notices = ({ app }: { app: App }) => (
  <div class="notices" aria-live="polite">
    {app.notices.value.map(({ id, text }) => (
      <p key={id}>
        {text}
        <button type="button" aria-label="Dismiss" onClick={() => app.dismiss(id)}>
          <Cross />
        </button>
      </p>
    ))}
  </div>
);

/** `/` goes to the field. Nothing else is taken from the reader. */
const useKeys = (app: App): void => {
  useEffect(() => {
    const handle = (event: KeyboardEvent): void => {
      const isTyping = (event.target as HTMLElement | null)?.closest("input, textarea") !== null;
      if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
        document.getElementById("finder")?.focus();
        event.preventDefault();
      } else if (event.key === "Escape" && isTyping) (event.target as HTMLElement).blur();
    };
    window.addEventListener("keydown", handle);
    return () => window.removeEventListener("keydown", handle);
  }, [app]);
};
