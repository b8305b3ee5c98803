//! Tells a page when what it fetched elsewhere is stale, spread in time, so that many pages do not fetch at once.

import { guard } from "./emitter.js";
import type { Subscription } from "./subscription.js";
import type { Update } from "./update.js";

/** When to refetch. */
export interface StaleOptions {
  /** A refetch comes at a random moment within this span after the first change, in ms. Default 5,000. */
  readonly spreadMs?: number;
  /** And not sooner than this after the last one ended, in ms. Default 1,000. */
  readonly everyMs?: number;
  /** Only changes of these kinds count. Default: all. A `reset` always counts. */
  readonly kinds?: readonly string[];
  /** Also for events that came in full. Default false: the page has those. */
  readonly events?: boolean;
  /** As `Math.random`. */
  readonly random?: () => number;
}

/**
 * Calls `refetch` after the channel had events that the page was not given in full (`counts`, `summary`, `skipped`), or a
 * `reset`. One at a time, at most one waiting. Returns what ends it.
 */
export const onStale = (
  subscription: Subscription,
  refetch: () => unknown,
  { spreadMs = 5_000, everyMs = 1_000, kinds, events = false, random = Math.random }: StaleOptions = {},
): (() => void) => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let state: "fresh" | "waiting" | "running" | "again" | "ended" = "fresh";

  const wait = (leastMs: number): void => {
    state = "waiting";
    timer = setTimeout(run, leastMs + random() * spreadMs);
  };
  const run = (): void => {
    state = "running";
    let running: unknown;
    guard(() => {
      running = refetch();
    });
    const done = (): void => {
      const isAgain = state === "again";
      if (state === "ended") return;
      state = "fresh";
      if (isAgain) wait(everyMs);
    };
    // A refetch that fails is the application's to tell; the next change tries again.
    Promise.resolve(running).then(done, done);
  };
  const off = subscription.on("update", (update) => {
    if (!concerns(update, kinds, events)) return;
    if (state === "fresh") wait(0);
    else if (state === "running") state = "again";
  });
  return () => {
    off();
    clearTimeout(timer);
    state = "ended";
  };
};

const concerns = (update: Update, kinds: readonly string[] | undefined, events: boolean): boolean => {
  switch (update.type) {
    case "reset":
      return true;
    case "counts":
    case "summary":
    case "skipped":
      return !kinds || kinds.some((kind) => update.counts.has(kind));
    case "events":
      return events && (!kinds || update.events.some((event) => kinds.includes(event.kind)));
    default:
      return false;
  }
};
