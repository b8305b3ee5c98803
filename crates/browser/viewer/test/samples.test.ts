//! The speed of a cursor.

import { expect, test } from "vitest";
import { SAMPLES_MAX } from "../src/limits";
import { Samples } from "../src/model/samples";

test("what came before the first look is not speed", () => {
  const samples = new Samples();
  samples.look(10_000, 0);
  expect(samples.rate).toBe(0);
  samples.look(10_100, 1_000);
  expect(samples.rate).toBe(100);
});

test("a rate is that of the last five seconds", () => {
  const samples = new Samples();
  for (let s = 0; s <= 10; s++) samples.look(s * 50, s * 1_000);
  for (let s = 11; s <= 15; s++) samples.look(500, s * 1_000);
  expect(samples.rate).toBe(0);
  expect(samples.values).toContain(50);
});

test("a reset is no speed", () => {
  const samples = new Samples();
  samples.look(500, 0);
  samples.look(600, 1_000);
  samples.look(3, 2_000);
  samples.look(null, 3_000);
  samples.look(7, 4_000);
  samples.look(9, 5_000);
  expect(samples.values).toEqual([100, 2]);
});

test("only the last minute is kept", () => {
  const samples = new Samples();
  for (let s = 0; s < 1_000; s++) samples.look(s, s * 1_000);
  expect(samples.values).toHaveLength(SAMPLES_MAX);
});
