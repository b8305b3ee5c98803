//! The rows of a log: their bound, and how spans are gathered.

import type { NumberedEvent } from "tally-client";
import { describe, expect, test } from "vitest";
import { ROWS_MAX, ROWS_SLACK, SPAN_MS } from "../src/limits";
import { Log, type Span } from "../src/model/log";

const event = (kind = "ok", data: unknown = "x") => ({ kind, at: 1, data });
const numbered = (seq: number): NumberedEvent => ({ ...event(), seq });
const span = (from: number, to: number, more: Partial<Span> = {}): Span => ({
  form: "counted",
  reason: "throttled",
  from,
  to,
  counts: new Map([["ok", to - from + 1]]),
  tail: null,
  ...more,
});
const shapes = (log: Log) =>
  log.rows.map((row) =>
    row.is === "event" ? row.seq : row.is === "span" ? `${row.from}-${row.to}` : row.is,
  );

describe("spans", () => {
  test("that follow each other are one line with the newest tail", () => {
    const log = new Log();
    log.addEvents(1, [event()]);
    log.addSpan(span(2, 10, { tail: [numbered(9), numbered(10)] }), 0);
    expect(shapes(log)).toEqual([1, "2-10", 9, 10]);
    log.addSpan(span(11, 30, { tail: [numbered(30)] }), 250);
    expect(shapes(log)).toEqual([1, "2-30", 30]);
    expect(log.rows[1]).toMatchObject({ text: "29 events counted while throttled: 29 ok" });
  });

  test("of another reason, form or place are lines of their own", () => {
    const log = new Log();
    log.addSpan(span(1, 2), 0);
    log.addSpan(span(3, 4, { reason: "upstream" }), 0);
    log.addSpan(span(5, 6, { reason: "upstream", form: "summarised" }), 0);
    log.addSpan(span(8, 9, { reason: "upstream", form: "summarised" }), 0);
    expect(shapes(log)).toEqual(["1-2", "3-4", "5-6", "8-9"]);
  });

  test("begin a new line after events, notes and a while", () => {
    const log = new Log();
    log.addSpan(span(1, 2), 0);
    log.addEvents(3, [event()]);
    log.addSpan(span(4, 5), 0);
    log.addNote("info", "note", 0);
    log.addSpan(span(6, 7), 0);
    log.addSpan(span(8, 9), SPAN_MS);
    expect(shapes(log)).toEqual(["1-2", 3, "4-5", "note", "6-7", "8-9"]);
  });

  test("never take rows that are not their tail", () => {
    const log = new Log();
    log.addSpan(span(1, 5, { tail: [numbered(5)] }), 0);
    log.addEvents(6, [event()]);
    log.addSpan(span(7, 9), 0);
    log.addSpan(span(10, 12), 0);
    expect(shapes(log)).toEqual(["1-5", 5, 6, "7-12"]);
  });
});

describe("the bound", () => {
  test("holds, and row numbers go on", () => {
    const log = new Log();
    for (let seq = 1; seq <= 3 * ROWS_MAX; seq++) log.addEvents(seq, [event()]);
    expect(log.rows.length).toBeLessThan(ROWS_MAX + ROWS_SLACK);
    expect(log.rows.length).toBeGreaterThanOrEqual(ROWS_MAX);
    expect(log.end).toBe(3 * ROWS_MAX);
    expect(log.rows.at(-1)).toMatchObject({ seq: 3 * ROWS_MAX });
    expect(log.rows[0]).toMatchObject({ seq: log.dropped + 1 });
  });

  test("holds for one batch that is larger than the log", () => {
    const log = new Log();
    log.addNote("info", "before", 0);
    log.addEvents(
      1,
      Array.from({ length: ROWS_MAX + 77 }, () => event()),
    );
    expect(log.rows.length).toBe(ROWS_MAX);
    expect(log.rows[0]).toMatchObject({ seq: 78 });
    expect(log.end).toBe(ROWS_MAX + 78);
  });
});

test("a folded kind is shown as it was sent", () => {
  const log = new Log();
  log.addEvents(1, [{ kind: "_other", sent_as: "rare", class: "state", at: 0, data: null }]);
  expect(log.rows[0]).toMatchObject({ kind: "rare", isState: true, text: "" });
});
