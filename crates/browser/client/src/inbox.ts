//! Updates that wait for somebody to take them. Bounded by their weight: beyond it they are folded.
//!
//! Folding keeps law 1 readable: the spans that are let go become one `skipped` update with their counts by kind. At
//! most one update of each type is left then.

import { EVENT_WEIGHT } from "./limits.js";
import { add, addAll, type Counting } from "./totals.js";
import type { EventsUpdate, SkippedUpdate, UnnumberedUpdate, Update } from "./update.js";

export class Inbox {
  /** What the updates are likely to hold on to: characters, and {@link EVENT_WEIGHT} for each event. */
  weight = 0;
  updates: Update[] = [];

  /** Events are joined with those before them, in a list of our own. */
  push(update: Update, weight: number): void {
    const last = this.updates.at(-1);
    this.weight += weight;
    if (update.type !== "events") this.updates.push(update);
    else if (last?.type === "events" && last.to + 1 === update.from && last.epoch === update.epoch) {
      const own = last as unknown as { to: number; events: EventsUpdate["events"][number][] };
      for (const event of update.events) own.events.push(event);
      own.to = update.to;
    } else this.updates.push({ ...update, events: [...update.events] });
  }

  take(): Update[] {
    const { updates } = this;
    this.updates = [];
    this.weight = 0;
    return updates;
  }

  fold(): void {
    const kept = new Map<Update["type"], Update>();
    for (const update of this.take()) {
      let { type } = update;
      let next = update;
      if ("from" in update) {
        type = "skipped";
        next = skip(kept.get(type) as SkippedUpdate | undefined, update);
      } else if (update.type === "unnumbered") {
        const before = (kept.get(type) as UnnumberedUpdate | undefined)?.dropped ?? 0;
        next = { ...update, events: [], dropped: before + update.dropped + update.events.length };
      } else {
        // What was before a reset or a violation belongs to a ledger that has ended.
        if (type === "reset" || type === "violation") kept.delete("skipped");
        kept.delete(type);
      }
      kept.set(type, next);
    }
    for (const update of kept.values()) this.push(update, EVENT_WEIGHT);
  }
}

const skip = (
  before: SkippedUpdate | undefined,
  span: Extract<Update, { readonly from: number }>,
): SkippedUpdate => {
  const counts = new Map(before?.counts) as Counting;
  if (span.type === "events") for (const { kind } of span.events) add(counts, kind, 1);
  else addAll(counts, span.counts);
  return { type: "skipped", from: before?.from ?? span.from, to: span.to, counts };
};
