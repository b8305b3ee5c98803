//! Gateways come, fall silent, are gone and leave; and there are never more than the bound.

import { describe, expect, it } from "vitest";
import { GATEWAYS_MAX } from "../src/bounds.js";
import { Fleet, type Gateway, isListed, presenceOf, shiftOf } from "../src/model/fleet.js";
import { readSample, type Sample } from "../src/shape/sample.js";
import { sampleOf } from "./told.js";

const T = 1_700_000_000_000;

const sample = (id: string, at: number, more = {}): Sample => {
  const read = readSample(sampleOf(id, at, more));
  if (read === null) throw new Error("the sample of the test is none");
  return read;
};

const held = (fleet: Fleet, id: string): Gateway => {
  const it = fleet.get(id);
  if (it === undefined) throw new Error(`${id} is not held`);
  return it;
};

const history = (gateway: string, at: readonly number[]) => ({
  gateway,
  name: "b",
  at,
  series: new Map([["connections", at.map(() => 5)]]),
});

describe("presence", () => {
  it("goes from running to silent to gone, by the page's clock", () => {
    const fleet = new Fleet();
    fleet.take(sample("a-1", T), T);
    const at = (after: number) => presenceOf(held(fleet, "a-1"), T + after, 0);
    expect([0, 5_000, 5_001, 60_000, 60_001].map(at)).toEqual([
      "running",
      "running",
      "silent",
      "silent",
      "gone",
    ]);
  });

  it("is no silence that the page itself was deaf", () => {
    const fleet = new Fleet();
    fleet.take(sample("a-1", T), T);
    expect(presenceOf(held(fleet, "a-1"), T + 90_000, T + 88_000)).toBe("running");
    expect(presenceOf(held(fleet, "a-1"), T + 94_000, T + 88_000)).toBe("silent");
  });

  it("of one that said it leaves is gone at once when it falls silent", () => {
    const fleet = new Fleet();
    fleet.take(sample("a-1", T, { state: "draining" }), T);
    fleet.leave("a-1");
    expect(presenceOf(held(fleet, "a-1"), T + 1_000, 0)).toBe("draining");
    expect(presenceOf(held(fleet, "a-1"), T + 6_000, 0)).toBe("gone");
  });

  it("of one that only a history knows is what the history's end says", () => {
    const fleet = new Fleet();
    fleet.take(sample("a-1", T), T);
    fleet.fill(10, history("b-1", [T / 1000 - 500, T / 1000 - 490]), "a-1", T);
    expect(presenceOf(held(fleet, "b-1"), T, T)).toBe("gone");
    expect(held(fleet, "b-1").heardAt).toBe(T - 490_000);
    expect(isListed(held(fleet, "b-1"), T + 3_000_000)).toBe(true);
    expect(isListed(held(fleet, "b-1"), T + 3_200_000)).toBe(false);
  });
});

describe("a fleet", () => {
  it("takes a sample once, and none that is older", () => {
    const fleet = new Fleet();
    expect(fleet.take(sample("a-1", T), T)).toBe(true);
    expect(fleet.take(sample("a-1", T), T + 10)).toBe(false);
    expect(fleet.take(sample("a-1", T - 1), T + 20)).toBe(false);
  });

  it("has a bound; the longest silent goes first", () => {
    const fleet = new Fleet();
    for (let n = 0; n < GATEWAYS_MAX + 2; n++) {
      fleet.take(sample("a-0", T + n), T + n);
      fleet.take(sample(`a-${n + 1}`, T + n), T + n);
    }
    expect(fleet.all()).toHaveLength(GATEWAYS_MAX);
    expect(["a-0", "a-1", "a-3", "a-4"].map((id) => fleet.get(id) !== undefined)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it("forgets who has been gone for longer than any chart reaches", () => {
    const fleet = new Fleet();
    fleet.take(sample("a-1", T), T);
    fleet.expire(T + 21_600_000);
    expect(fleet.all()).toHaveLength(1);
    fleet.expire(T + 21_600_001);
    expect(fleet.all()).toHaveLength(0);
  });

  it("moves the points of a gateway with a wrong clock to the page's", () => {
    const fleet = new Fleet();
    for (let n = 0; n < 3; n++) fleet.take(sample("a-1", T - 90_000 + n * 1000), T + n * 1000 + 100 * n);
    expect(shiftOf(held(fleet, "a-1"))).toBe(90);
    expect(held(fleet, "a-1").series.ring(1).newest).toBe(T / 1000 + 2);
    fleet.take(sample("b-1", T), T + 700);
    expect(shiftOf(held(fleet, "b-1"))).toBe(0);
  });
});
