//! A client's account of one channel, and the check of laws 1 and 2 on every frame.
//!
//! At each moment, kind by kind: totals at attach + seen in full + counted + summarised = totals at the cursor. A frame
//! that breaks a law changes nothing. Bounded: {@link KINDS_MAX} kinds for full and for each (form, why).

import type { Counts, Cursor, Events, NumberedEvent, Position, Reduced, State, TallyEvent } from "./frame.js";
import { KINDS_MAX } from "./limits.js";
import type { Why } from "./names.js";
import { add, addAll, type Counting, equal, sum, type Totals } from "./totals.js";

/** The laws that a client can check. */
export type Law = "conservation" | "order";

/** A frame that breaks a law. */
export class Violation extends Error {
  override readonly name = "Violation";
  constructor(
    /** Where it came. */
    readonly channel: string,
    /** The law that it breaks. */
    readonly law: Law,
    /** What was wrong, for people. */
    readonly detail: string,
  ) {
    super(`the law of ${law} is broken on channel ${channel}: ${detail}`);
  }
}

/** A ledger as it is shown: to read at any time, changed only by frames. */
export interface LedgerView {
  /** What it is the account of. */
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
  epoch: string | null = null;
  cursor = 0;
  totals: Counting = new Map();
  readonly full: Counting = new Map();
  readonly counted = new Map<Why, Counting>();
  readonly summarised = new Map<Why, Counting>();
  state: State | null = null;

  /** Opens the ledger of a fresh attach or a reset. Throws a {@link Violation}. */
  constructor(
    readonly channel: string,
    readonly since: Position,
  ) {
    this.#check(since.epoch !== null || !since.seq, "order", `seq ${since.seq} without an epoch`);
    this.#span(since, 0);
    this.#move(since);
  }

  /** A resume must repeat the cursor. */
  checkResume({ epoch, seq }: Cursor): void {
    const repeats = epoch === this.epoch && seq === this.cursor;
    this.#check(repeats, "order", `resume ${seq} of ${epoch}`);
  }

  handleEvents({ epoch, from, to, events }: Events): void {
    const { cursor, totals } = this;
    const what = `events ${from} to ${to}`;
    this.#check(from === cursor + 1, "order", what);
    const fits = events.length > 0 && events.length === to - cursor;
    this.#check(fits, "conservation", `${what} as ${events.length}`);
    const span: Counting = new Map();
    for (const { kind } of events) add(span, kind, 1);
    const kinds = new Set([...totals.keys(), ...span.keys()]).size;
    this.#check(kinds <= KINDS_MAX, "conservation", `${kinds} kinds`);
    addAll(totals, span);
    addAll(this.full, span);
    const newest = events.findLastIndex((event) => event.class === "state");
    if (newest >= 0) this.state = stateOf(events[newest] as TallyEvent, from + newest);
    this.cursor = to;
    this.epoch = epoch;
  }

  /** Books a `counts` frame; returns what the span had. */
  handleCounts(frame: Counts): Totals {
    return this.#book(frame, this.counted, frame.why, frame.tail ?? []);
  }

  /** Books one channel of a `summary` frame; returns what the span had. */
  handleSummary(why: Why, frame: Reduced): Totals {
    return this.#book(frame, this.summarised, why, []);
  }

  closes(): boolean {
    const all = new Map(this.since.totals);
    for (const span of [this.full, ...this.counted.values(), ...this.summarised.values()]) addAll(all, span);
    return equal(all, this.totals) && sum(all) === this.cursor;
  }

  /** What lies between the cursor and a position, which is not below `least`. */
  #span({ seq, totals, state }: Position, least: number): Counting {
    const { cursor } = this;
    const what = `totals at ${seq}`;
    this.#check(seq >= least, "order", what);
    const span: Counting = new Map();
    for (const [kind, n] of totals) {
      const more = n - (this.totals.get(kind) ?? 0);
      if (more > 0) span.set(kind, more);
    }
    // A kind that became fewer, or is gone, leaves more in the span than the seqs have room for.
    const fits = totals.size <= KINDS_MAX && sum(totals) === seq && sum(span) === seq - cursor;
    this.#check(fits, "conservation", what);
    if (state) {
      // A state event rides only in the frame whose span holds it, and is booked there.
      const isWithin = state.seq > cursor && state.seq <= seq;
      this.#check(isWithin, "order", `${what} with a state of ${state.seq}`);
      this.#check(span.has(state.kind), "conservation", `${what} with a state of ${state.kind}`);
    }
    return span;
  }

  #book(frame: Reduced, column: Map<Why, Counting>, why: Why, tail: readonly NumberedEvent[]): Totals {
    const { seq } = frame;
    const span = this.#span(frame, this.cursor + 1);
    const first = seq - tail.length;
    const isEnd = first >= this.cursor && tail.every((event, i) => event.seq === first + 1 + i);
    this.#check(isEnd, "order", `a tail of ${tail.length}`);
    const counts = column.get(why) ?? new Map();
    addAll(counts, span);
    column.set(why, counts);
    this.#move(frame);
    return span;
  }

  #move({ epoch, seq, totals, state }: Position): void {
    this.epoch = epoch;
    this.cursor = seq;
    // The page may keep the frame, and further events change the ledger's own.
    this.totals = new Map(totals);
    this.state = state ?? this.state;
  }

  #check(fits: boolean, law: Law, what: string): void {
    if (!fits) throw new Violation(this.channel, law, `${what} came at cursor ${this.cursor}`);
  }
}

const stateOf = ({ class: _, ...event }: TallyEvent, seq: number): State => ({ seq, ...event });
