//! Rings and series: bounded, in any order, and without dents where a sample is a moment late.

import { describe, expect, it } from "vitest";
import { Ring } from "../src/model/ring.js";
import { COLUMNS, line, Series } from "../src/model/series.js";
import { niceTop, shares, windowTo } from "../src/model/window.js";
import { readSample, type Sample } from "../src/shape/sample.js";
import { sampleOf } from "./told.js";

const sample = (at_s: number, more = {}): Sample => {
  const read = readSample(sampleOf("a-1", at_s * 1000, more));
  if (read === null) throw new Error("the sample of the test is none");
  return read;
};

describe("a ring", () => {
  it("brings the points of one span together, each column in its way", () => {
    const ring = new Ring(10, 6, ["mean", "max", "min", "last"]);
    for (const value of [1, 4, 7]) ring.add(100 + value, [value, value, value, value]);
    ring.add(109, [null, null, null, null]);
    expect([0, 1, 2, 3].map((column) => ring.read(column, 10))).toEqual([4, 7, 1, 7]);
    expect(ring.read(0, 11)).toBeNull();
  });

  it("keeps as many spans as it has slots, and drops what is older", () => {
    const ring = new Ring(1, 5, ["mean"]);
    for (let at = 0; at < 20; at++) ring.add(at, [at]);
    expect([14, 15, 19, 20].map((span) => ring.read(0, span))).toEqual([null, 15, 19, null]);
    ring.add(3, [999]);
    expect([3, 15, 18].map((span) => ring.read(0, span))).toEqual([null, 15, 18]);
    expect([ring.oldest, ring.newest]).toEqual([15, 19]);
  });

  it("takes a history only for spans that it has not seen whole", () => {
    const ring = new Ring(10, 6, ["mean"]);
    for (let at = 100; at < 110; at++) ring.add(at, [1]);
    ring.add(115, [1]);
    for (const at of [90, 100, 110]) ring.fill(at, [50]);
    expect([9, 10, 11].map((span) => ring.read(0, span))).toEqual([50, 1, 50]);
  });
});

describe("a fleet's line", () => {
  const stretch = { step: 1, slots: 10, to: 1_010 } as const;
  const seconds = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  it("sums the gateways, and has no dent where one sample is late or early", () => {
    const [a, b] = [new Series(), new Series()];
    for (const at of seconds(1_000, 1_010)) a.add(sample(at), at * 1000);
    for (const at of seconds(1_000, 1_010)) if (at !== 1_006) b.add(sample(at), at * 1000);
    expect(line([a, b], "connections", stretch)).toEqual(Array(10).fill(200));
  });

  it("lets a silent gateway go after as long as makes it silent", () => {
    const [a, b] = [new Series(), new Series()];
    for (const at of seconds(1_000, 1_010)) a.add(sample(at), at * 1000);
    for (const at of seconds(1_000, 1_003)) b.add(sample(at), at * 1000);
    expect(line([a, b], "connections", stretch)).toEqual([200, 200, 200, 200, 200, 200, 200, 200, 100, 100]);
  });

  it("shows the slowest gateway where a sum says nothing, and null where there is nothing", () => {
    const [a, b] = [new Series(), new Series()];
    const slow = { n: 1, p50: 20, p90: 40, p99: 70, max: 90 };
    a.add(sample(1_010), 1_010_000);
    b.add(sample(1_010, { latency_ms: slow }), 1_010_000);
    expect(line([a, b], "p99", stretch).slice(-2)).toEqual([null, 70]);
    const none = { n: 0, p50: null, p90: null, p99: null, max: null };
    const idle = new Series();
    idle.add(sample(1_010, { latency_ms: none }), 1_010_000);
    expect(line([idle], "p99", stretch).at(-1)).toBeNull();
  });

  it("keeps the same figures at all three steps", () => {
    const series = new Series();
    for (const at of seconds(6_000, 6_119))
      series.add(sample(at, { connections: at % 2 ? 90 : 110 }), at * 1000);
    for (const [step, slots, to] of [
      [1, 2, 6_119],
      [10, 2, 611],
      [60, 2, 101],
    ] as const) {
      const values = line([series], "connections", { step, slots, to });
      expect(values.reduce<number>((sum, value) => sum + (value ?? 0), 0) / 2).toBe(100);
    }
  });

  it("has every column of the gateways' history", () => {
    const told = [
      "connections",
      "events_in",
      "deliveries",
      "out_bytes",
      "rung_full",
      "rung_counts",
      "rung_summary",
    ];
    const more = ["p50", "p99", "probe_ms", "up", "cpu", "rss", "lost"];
    expect(Object.keys(COLUMNS)).toEqual([...told, ...more]);
  });

  it("is as large after ten hours as after the first six", () => {
    const series = new Series();
    const size = () =>
      JSON.stringify(
        [1, 10, 60].map((step) => {
          const ring = series.ring(step as 1 | 10 | 60);
          return ring.newest - ring.oldest < ring.slots;
        }),
      );
    for (let at = 0; at < 36_000; at++) series.add(sample(1_000_000 + at), (1_000_000 + at) * 1000);
    expect(size()).toBe("[true,true,true]");
    const { step, slots } = { step: 60, slots: 360 } as const;
    const values = line([series], "connections", { step, slots, to: Math.floor(1_035_999 / 60) });
    expect(values.every((value) => value === 100)).toBe(true);
  });
});

describe("a chart's window", () => {
  it("ends where all have spoken, and has a time for each point", () => {
    const { stretch, times } = windowTo("1h", 7_205_000);
    expect([times.length, times.at(-1), stretch.to]).toEqual([360, 7_200, 720]);
    expect(windowTo("5m", 7_205_900).times.at(-1)).toBe(7_204);
  });

  it("stacks the shares of rungs to 100 %", () => {
    const series = new Series();
    series.add(sample(1_010), 1_010_000);
    const { full, counts, summary } = shares([series], { step: 1, slots: 2, to: 1_010 });
    expect([full, counts, summary].map((values) => values.at(-1))).toEqual([100, 10, 2]);
    expect(full[0]).toBeNull();
  });

  it("has axes that end at round figures", () => {
    expect([0, 9, 11, 49, 501].map((max) => niceTop(max, 1, false))).toEqual([1, 10, 20, 50, 1_000]);
    expect([0, 1_025, 5_000_000].map((max) => niceTop(max, 1_024, true))).toEqual([1_024, 2_048, 8_388_608]);
  });
});
