//! The rows of one channel's log: events, lines for what was only counted, and notes. Pure: time is a value.
//!
//! Bounded: ROWS_MAX rows of at most TEXT_MAX characters; the oldest go. Counted spans that follow each other for the
//! same reason are one line, with the newest tail below it.

import type { NumberedEvent, TallyEvent, Totals } from "tally-client";
import { ROWS_MAX, ROWS_SLACK, SPAN_MS } from "../limits";
import { brief, type Reason, span } from "./words";

export interface EventRow {
  readonly is: "event";
  /** Null: outside the numbering. */
  readonly seq: number | null;
  readonly at: number;
  readonly kind: string;
  readonly text: string;
  readonly isState: boolean;
  /** A courtesy copy: it is among the counted. */
  readonly isTail: boolean;
}

export type SpanForm = "counted" | "summarised" | "skipped";

export interface SpanRow {
  readonly is: "span";
  readonly form: SpanForm;
  readonly reason: Reason;
  readonly from: number;
  readonly to: number;
  readonly counts: Totals;
  readonly text: string;
  /** When it began, by the page's clock. */
  readonly since: number;
}

export interface NoteRow {
  readonly is: "note";
  readonly tone: "info" | "good" | "warn" | "bad";
  readonly at: number;
  readonly text: string;
}

export type Row = EventRow | SpanRow | NoteRow;

export interface Span {
  readonly form: SpanForm;
  readonly reason: Reason;
  readonly from: number;
  readonly to: number;
  readonly counts: Totals;
  readonly tail: readonly NumberedEvent[] | null;
}

export class Log {
  readonly rows: Row[] = [];
  /** Rows that went because there were too many; the number of the first row that is left. */
  dropped = 0;
  /** Rows at the end that are the tail of the span before them. */
  #tailRows = 0;

  /** Rows ever added: the number of the next one. */
  get end(): number {
    return this.dropped + this.rows.length;
  }

  addEvents(from: number, events: readonly TallyEvent[]): void {
    // Only what can be kept is made into rows.
    const first = Math.max(0, events.length - ROWS_MAX);
    if (first > 0) {
      this.dropped += first + this.rows.length;
      this.rows.length = 0;
    }
    for (let i = first; i < events.length; i++)
      this.#push(eventRow(events[i] as TallyEvent, from + i, false));
    this.#tailRows = 0;
  }

  addUnnumbered(events: readonly unknown[], dropped: number, now: number): void {
    for (const data of events.slice(-ROWS_MAX)) {
      this.#push({
        is: "event",
        seq: null,
        at: now,
        kind: "unnumbered",
        text: brief(data),
        isState: false,
        isTail: false,
      });
    }
    if (dropped > 0) this.addNote("info", `${dropped} unnumbered events were dropped`, now);
    this.#tailRows = 0;
  }

  addSpan({ form, reason, from, to, counts, tail }: Span, now: number): void {
    const last = this.rows[this.rows.length - 1 - this.#tailRows];
    const joins =
      last?.is === "span" &&
      last.form === form &&
      last.reason === reason &&
      last.to + 1 === from &&
      now - last.since < SPAN_MS;
    if (joins) {
      this.rows.length -= this.#tailRows;
      const both = new Map(last.counts);
      for (const [kind, n] of counts) both.set(kind, (both.get(kind) ?? 0) + n);
      this.rows[this.rows.length - 1] = { ...last, to, counts: both, text: span(form, both, reason) };
    } else {
      this.#push({
        is: "span",
        form,
        reason,
        from,
        to,
        counts,
        text: span(form, counts, reason),
        since: now,
      });
    }
    const events = tail ?? [];
    for (const event of events) this.#push(eventRow(event, event.seq, true));
    this.#tailRows = events.length;
  }

  addNote(tone: NoteRow["tone"], text: string, at: number): void {
    this.#push({ is: "note", tone, text, at });
    this.#tailRows = 0;
  }

  #push(row: Row): void {
    this.rows.push(row);
    if (this.rows.length < ROWS_MAX + ROWS_SLACK) return;
    const gone = this.rows.length - ROWS_MAX;
    this.rows.splice(0, gone);
    this.dropped += gone;
  }
}

const eventRow = (event: TallyEvent, seq: number, isTail: boolean): EventRow => {
  const kind = event.sent_as ?? event.kind;
  const isState = event.class === "state";
  return { is: "event", seq, at: event.at, kind, text: brief(event.data, kind), isState, isTail };
};
