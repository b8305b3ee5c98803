//! How figures read, and what stands in the address.

import { describe, expect, it } from "vitest";
import * as format from "../src/format.js";
import { HOME, parse, print } from "../src/route.js";
import { readAnswer, readConnectionAnswer, readHistory } from "../src/shape/answer.js";
import { readDetail } from "../src/shape/detail.js";
import { readSample } from "../src/shape/sample.js";
import { sampleOf } from "./told.js";

/** With plain spaces, for reading. */
const plain = (text: string) => text.replaceAll("\u202f", " ");

describe("figures", () => {
  it("have their unit, separators, and no more digits than say something", () => {
    const cases: [string, string][] = [
      [format.count(1_234_567), "1,234,567"],
      [format.rate(0), "0 /s"],
      [format.rate(3.25), "3.3 /s"],
      [format.rate(15_594, "frames/s"), "15,594 frames/s"],
      [format.bytes(0), "0 B"],
      [format.bytes(1_023), "1,023 B"],
      [format.bytes(24_000, "/s"), "23.4 KiB/s"],
      [format.bytes(500 * 1024 * 1024), "500 MiB"],
      [format.millis(0.62), "0.62 ms"],
      [format.millis(42.4), "42 ms"],
      [format.millis(4_200), "4.2 s"],
      [format.millis(192_000), "3 min 12 s"],
      [format.latency(0), "<1 ms"],
      [format.latency(4), "4 ms"],
      [format.latency(null), "–"],
      [format.span(7_260), "2 h 1 min"],
      [format.span(90_000), "1 d 1 h"],
      [format.percent(0.9994), ">99.9 %"],
      [format.percent(0.0004), "<0.1 %"],
      [format.percent(0.063), "6.3 %"],
      [format.percent(1), "100 %"],
      [format.ratio(1.2), "1.20 ×"],
      [format.short(12_345), "12.35k"],
      [format.shortBytes(8 * 1024 * 1024), "8Mi"],
      [format.plural(1, "gateway"), "1 gateway"],
      [format.ago(1), "just now"],
    ];
    for (const [told, wanted] of cases) expect(plain(told)).toBe(wanted);
  });
});

describe("the address", () => {
  it("holds view, range and selection, and nothing that is as it opens", () => {
    expect(print(HOME)).toBe("");
    const route = {
      ...HOME,
      view: "connections",
      range: "6h",
      gateway: "a-1",
      connection: "0-7",
      search: "a b&c",
    } as const;
    expect(parse(print(route))).toEqual(route);
  });

  it("takes nothing that is not known", () => {
    expect(parse("?view=x&range=9h&order=name&channel=&what=1")).toEqual(HOME);
    expect(parse(`?search=${"a".repeat(500)}`).search).toHaveLength(200);
  });
});

describe("what is read", () => {
  it("is no sample without gateway and time, and never throws", () => {
    for (const value of [null, 7, "x", [], {}, { gateway: "a" }, { at: 1 }])
      expect(readSample(value)).toBeNull();
    const odd = readSample({
      gateway: "a",
      at: 1,
      shards: 7,
      account: [],
      in: null,
      redis: 3,
      connections: "many",
    });
    expect(odd).toMatchObject({ name: "a", shards: [], connections: 0, redis: null, latency: null });
    expect(readDetail({ gateway: "a", channels: [null, { channel: "x" }, 3] })?.channels).toHaveLength(1);
  });

  it("takes names of any kind without harm", () => {
    const read = readSample(
      sampleOf("a", 1, { refused_total: JSON.parse('{"__proto__": 4, "constructor": 2}') }),
    );
    expect(read?.refused_total.get("constructor")).toBe(2);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("is an answer in one part or several", () => {
    expect(readAnswer({ ask: "q", gateway: "a", ok: true })).toMatchObject({ part: 1, parts: 1, ok: true });
    expect(readAnswer({ gateway: "a" })).toBeNull();
    const answer = readAnswer({
      ask: "q",
      gateway: "a",
      ok: true,
      step: 10,
      gateways: { b: { at: [1, 2], series: { up: [1, null] } } },
    });
    if (answer === null) throw new Error("the answer of the test is none");
    const { step, gateways } = readHistory(answer);
    expect([step, gateways[0]?.gateway, gateways[0]?.series.get("up")]).toEqual([10, "b", [1, null]]);
    expect(readConnectionAnswer(answer)).toBeNull();
  });
});
