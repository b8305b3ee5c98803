//! The sum that is shown, over the SDK's own ledger; and that it is not green where it does not hold.

import { beforeEach, describe, expect, test } from "vitest";
import { Ledger } from "../../client/src/ledger";
import { byWhy, kindRows, plain, sumsOf } from "../src/model/account";

const totals = (counts: Record<string, number>) => new Map(Object.entries(counts));
const channel = "job:1";
const epoch = "e1";
let ledger: Ledger;

beforeEach(() => {
  ledger = new Ledger(channel, { epoch, seq: 3, totals: totals({ ok: 3 }), state: null });
  const ok = { kind: "ok", at: 1, data: null };
  ledger.handleEvents({ type: "events", channel, epoch, from: 4, to: 5, events: [ok, ok] });
  const counts = { channel, epoch, seq: 9, totals: totals({ ok: 7, failed: 2 }), state: null };
  ledger.handleCounts({ ...counts, type: "counts", why: "throttled", tail: null });
  ledger.handleSummary("backpressure", { ...counts, seq: 12, totals: totals({ ok: 9, failed: 3 }) });
});

test("the four parts add up to what was published", () => {
  expect(sumsOf(ledger)).toEqual({
    published: 12,
    attached: 3,
    full: 2,
    counted: 4,
    summarised: 3,
    closes: true,
  });
  expect(byWhy(ledger)).toEqual([
    ["throttled", 4],
    ["backpressure", 3],
  ]);
  expect(kindRows(ledger)).toEqual([
    ["ok", 3, 2, 2, 2, 9],
    ["failed", 0, 0, 2, 1, 3],
  ]);
  expect(plain(ledger)).toMatchObject({ channel, epoch, published: 12, totals: { ok: 9, failed: 3 } });
});

describe("a sum that does not hold is not shown as one", () => {
  test("where an event is missing", () => {
    ledger.full.set("ok", 1);
    expect(sumsOf(ledger).closes).toBe(false);
  });
  test("where the sum holds, and the kinds do not", () => {
    ledger.full.set("ok", 1).set("failed", 1);
    expect(sumsOf(ledger)).toMatchObject({ published: 12, full: 2, closes: false });
  });
});
