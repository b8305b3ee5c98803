//! A client's account of one channel, and the check of laws 1 and 2 on every frame.
//!
//! At each moment, kind by kind: totals at attach + seen in full + counted + summarised = totals at the cursor. A frame
//! that breaks a law changes nothing. Bounded: {@link KINDS_MAX} kinds for full and for each (form, why).

import type { Counts, Events, Position, Reduced, State } from "./frame.js";
import { KINDS_MAX } from "./limits.js";
import type { Why } from "./names.js";
import { addAll, type Counting, equal, since, sum, type Totals } from "./totals.js";

/** The laws that a client can check. */
export type Law = "conservation" | "order";

/** A frame that breaks a law. */
export class Violation extends Error {
  override readonly name = "Violation";
  constructor(
    readonly channel: string,
    readonly law: Law,
    readonly detail: string,
  ) {
    super(`the law of ${law} is broken on channel ${channel}: ${detail}`);
  }
}

/** A ledger as it is shown: to read at any time, changed only by frames. */
export interface LedgerView {
  readonly channel: string;
  /** Null where the channel has had no events. */
  readonly epoch: string | null;
  /** The seq up to which everything is accounted for. */
  readonly cursor: number;
  /** Totals at the cursor. */
  readonly totals: Totals;
  /** Where this ledger starts. */
  readonly since: Position;
  /** Seen in full, by kind. */
  readonly full: Totals;
  /** Told by counts frames, by why and kind. */
  readonly counted: ReadonlyMap<Why, Totals>;
  /** Told by summaries, by why and kind. */
  readonly summarised: ReadonlyMap<Why, Totals>;
  /** The newest state event that was told. */
  readonly state: State | null;
  /** Law 1: whether both sides agree, kind by kind. */
  closes(): boolean;
}

export class Ledger implements LedgerView {
  epoch: string | null;
  cursor: number;
  totals: Counting;
  readonly full: Counting = new Map();
  readonly counted = new Map<Why, Counting>();
  readonly summarised = new Map<Why, Counting>();
  state: State | null;

  /** Opens the ledger of a fresh attach or a reset. Throws a {@link Violation}. */
  constructor(
    readonly channel: string,
    readonly since: Position,
  ) {
    this.epoch = since.epoch;
    this.cursor = since.seq;
    this.totals = new Map(since.totals);
    this.state = since.state;
    this.#checkSum(since.seq, since.totals);
    if (since.epoch === null && since.seq !== 0) {
      throw this.#broken("order", `attached at seq ${since.seq} without an epoch`);
    }
    this.#checkState(since.state, 0, since.seq, since.totals);
  }

  /** A resume must repeat the cursor. */
  checkResume(epoch: string, seq: number): void {
    if (epoch !== this.epoch || seq !== this.cursor) {
      const held = `seq ${this.cursor} of epoch ${this.epoch}`;
      throw this.#broken("order", `resumed at seq ${seq} of epoch ${epoch}, but the client holds ${held}`);
    }
  }

  handleEvents({ epoch, from, to, events }: Events): void {
    if (from !== this.cursor + 1) {
      throw this.#broken("order", `events ${from} to ${to} came at cursor ${this.cursor}`);
    }
    if (to < from || events.length !== to - this.cursor) {
      throw this.#broken("conservation", `events ${from} to ${to} hold ${events.length} events`);
    }
    if (this.totals.size + events.length > KINDS_MAX) {
      const kinds = new Set([...this.totals.keys(), ...events.map((event) => event.kind)]);
      if (kinds.size > KINDS_MAX) throw this.#broken("conservation", `more than ${KINDS_MAX} kinds`);
    }
    for (const [i, event] of events.entries()) {
      const { kind } = event;
      this.totals.set(kind, (this.totals.get(kind) ?? 0) + 1);
      this.full.set(kind, (this.full.get(kind) ?? 0) + 1);
      if (event.class === "state") this.state = stateOf(event, from + i);
    }
    this.cursor = to;
    this.epoch = epoch;
  }

  /** Books a `counts` frame; returns what the span had. */
  handleCounts(frame: Counts): Totals {
    const { seq, tail } = frame;
    const span = this.#span(frame);
    const first = seq - (tail?.length ?? 0);
    if (first < this.cursor || tail?.some((event, i) => event.seq !== first + 1 + i)) {
      throw this.#broken("order", `a tail of ${tail?.length} events up to ${seq} at cursor ${this.cursor}`);
    }
    this.#book(frame, span, this.counted, frame.why);
    return span;
  }

  /** Books one channel of a `summary` frame; returns what the span had. */
  handleSummary(why: Why, frame: Reduced): Totals {
    const span = this.#span(frame);
    this.#book(frame, span, this.summarised, why);
    return span;
  }

  /** `unsubscribed` repeats the cursor, where it says one. */
  checkEnd(seq: number | null, totals: Totals | null): void {
    if (seq !== null && seq !== this.cursor) {
      throw this.#broken("order", `it ended at seq ${seq}, the cursor is at ${this.cursor}`);
    }
    if (totals && !equal(totals, this.totals)) {
      throw this.#broken("conservation", `it ended at seq ${this.cursor} with other totals than were told`);
    }
  }

  closes(): boolean {
    const all = new Map(this.since.totals);
    addAll(all, this.full);
    for (const column of [this.counted, this.summarised]) {
      for (const span of column.values()) addAll(all, span);
    }
    return equal(all, this.totals) && sum(all) === this.cursor;
  }

  /** What lies between the cursor and a position that a frame gives. */
  #span({ seq, totals, state }: Reduced): Counting {
    if (seq <= this.cursor) {
      throw this.#broken("order", `totals at seq ${seq} came at cursor ${this.cursor}`);
    }
    this.#checkSum(seq, totals);
    const span = since(totals, this.totals);
    if (!span) throw this.#broken("conservation", `at seq ${seq} some kind has fewer events than before`);
    this.#checkState(state, this.cursor, seq, span);
    return span;
  }

  #book(frame: Reduced, span: Totals, column: Map<Why, Counting>, why: Why): void {
    const counts = column.get(why) ?? new Map();
    addAll(counts, span);
    column.set(why, counts);
    this.epoch = frame.epoch;
    this.cursor = frame.seq;
    // The page may keep the frame, and further events change the ledger's own.
    this.totals = new Map(frame.totals);
    this.state = frame.state ?? this.state;
  }

  #checkSum(seq: number, totals: Totals): void {
    const all = sum(totals);
    if (all !== seq) throw this.#broken("conservation", `the totals at seq ${seq} add up to ${all}`);
  }

  /** A state event rides only in the frame whose span holds it, and is booked there. */
  #checkState(state: State | null, after: number, to: number, span: Totals): void {
    if (!state) return;
    if (state.seq <= after || state.seq > to) {
      throw this.#broken(
        "order",
        `a state of seq ${state.seq} came with the span after ${after} up to ${to}`,
      );
    }
    if (!span.has(state.kind)) {
      throw this.#broken(
        "conservation",
        `a state of kind ${state.kind} came with a span that counts none of it`,
      );
    }
  }

  #broken(law: Law, detail: string): Violation {
    return new Violation(this.channel, law, detail);
  }
}

const stateOf = (event: Events["events"][number], seq: number): State => {
  const { class: _, ...rest } = event;
  return { seq, ...rest };
};
