//! Updates that wait for somebody to take them. Bounded by events and characters: beyond it they are folded.
//!
//! Folding keeps law 1 readable: the spans that are let go become one `skipped` update with their counts by kind. At
//! most one update of each type is left then.

import { addAll, type Counting } from "./totals.js";
import type { EventsUpdate, SkippedUpdate, SummaryUpdate, Update } from "./update.js";

type SpanUpdate = Extract<Update, { readonly from: number }>;

export class Inbox {
  events = 0;
  chars = 0;
  #updates: Update[] = [];
  /** The last update, where it is our own copy that may grow. */
  #growing: { events: EventsUpdate["events"][number][]; to: number } | null = null;

  push(update: Update, chars: number): void {
    this.events += update.type === "events" ? update.events.length : 1;
    this.chars += chars;
    const last = this.#updates[this.#updates.length - 1];
    if (
      update.type === "events" &&
      last?.type === "events" &&
      last.to + 1 === update.from &&
      last.epoch === update.epoch
    ) {
      if (!this.#growing) {
        this.#growing = { ...last, events: [...last.events] };
        this.#updates[this.#updates.length - 1] = this.#growing as unknown as EventsUpdate;
      }
      for (const event of update.events) this.#growing.events.push(event);
      this.#growing.to = update.to;
    } else {
      this.#growing = null;
      this.#updates.push(update);
    }
  }

  get isEmpty(): boolean {
    return this.#updates.length === 0;
  }

  take(): Update[] {
    const taken = this.#updates;
    this.#updates = [];
    this.#growing = null;
    this.events = 0;
    this.chars = 0;
    return taken;
  }

  fold(): void {
    const kept = new Map<Update["type"], Update>();
    let skipped: SkippedUpdate | null = null;
    for (const update of this.take()) {
      if (isSpan(update)) {
        skipped = foldSpan(skipped, update);
        kept.set("skipped", skipped);
      } else if (update.type === "unnumbered") {
        const before = kept.get("unnumbered") as typeof update | undefined;
        const dropped = (before?.dropped ?? 0) + update.dropped + update.events.length;
        kept.set("unnumbered", { type: "unnumbered", events: [], dropped });
      } else {
        if (update.type === "reset" || update.type === "violation") {
          // What was before belongs to a ledger that has ended.
          skipped = null;
          kept.delete("skipped");
        }
        kept.delete(update.type);
        kept.set(update.type, update);
      }
    }
    this.#updates = [...kept.values()];
    this.events = this.#updates.length;
  }
}

const isSpan = (update: Update): update is SpanUpdate =>
  update.type === "events" ||
  update.type === "counts" ||
  update.type === "summary" ||
  update.type === "skipped";

const foldSpan = (before: SkippedUpdate | null, span: SpanUpdate): SkippedUpdate => {
  const counts = (before?.counts as Counting | undefined) ?? new Map<string, number>();
  if (span.type === "events") {
    for (const { kind } of span.events) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  } else {
    addAll(counts, (span as SummaryUpdate | SkippedUpdate).counts);
  }
  return { type: "skipped", from: before?.from ?? span.from, to: span.to, counts };
};
