//! Numbers, reasons and data as words.

import { describe, expect, test } from "vitest";
import { TEXT_MAX } from "../src/limits";
import { asRun, brief, commandOf, duration, endOf, rate, rungWords, span, toneOf } from "../src/model/words";

describe("spans", () => {
  test("say how many, in which form, why, and of which kinds", () => {
    const counts = new Map([
      ["changed", 24],
      ["ok", 1_180],
    ]);
    expect(span("counted", counts, "throttled")).toBe(
      "1,204 events counted while throttled: 1,180 ok, 24 changed",
    );
    expect(span("summarised", new Map([["ok", 1]]), "backpressure")).toBe(
      "1 event summarised while the connection was slow: 1 ok",
    );
    expect(span("skipped", counts, "busy")).toContain("1,204 events not shown while this page was busy");
  });

  test("name a few kinds and count the others", () => {
    const counts = new Map(Array.from({ length: 9 }, (_, i) => [`k${i}`, 10 - i] as const));
    expect(span("counted", counts, "asked")).toBe(
      "54 events counted as this page asked: 10 k0, 9 k1, 8 k2, 7 k3, 6 k4, 14 of 4 more kinds",
    );
  });
});

describe("data as one line", () => {
  test.each([
    [null, ""],
    ["plain", "plain"],
    [17, "17"],
    [{ host: "web1", load: 0.5 }, "host=web1 load=0.5"],
    [{ event: "ok", host: "a b" }, 'host="a b"'],
    [{ a: { b: 1 } }, '{"a":{"b":1}}'],
    [[1, 2], "[1,2]"],
    [{ text: "cut", cut: true, bytes: 9 }, "cut"],
    ["\u001b[31mred\u001b[0m\ttab\r", "red  tab"],
    ["two\nlines\u0007", "two␤lines␤"],
    ["\u001b]0;title\u0007x", "x"],
  ])("%j", (data, text) => {
    expect(brief(data, "ok")).toBe(text);
  });

  test("long text is cut, and says so", () => {
    const text = brief("x".repeat(TEXT_MAX + 234));
    expect(text.length).toBeLessThan(TEXT_MAX + 40);
    expect(text).toMatch(/x … 234 characters more$/);
  });
});

describe("runs", () => {
  const run = { command: ["sh", "-c", "a\n  b"], exit_code: 2, duration_ms: 61_000 };
  test("are read where the data is one", () => {
    expect(asRun(run)).toBe(run);
    for (const none of [null, 1, "x", {}, { command: "ls" }, { command: [1] }, []])
      expect(asRun(none)).toBeNull();
  });
  test("show the script, not the shell that ran it", () => {
    expect(commandOf(run)).toBe("a b");
    expect(commandOf({ command: ["/bin/bash", "-c", "x"] })).toBe("x");
    expect(commandOf({ command: ["ping", "-c", "3"] })).toBe("ping -c 3");
  });
  test("say how they ended", () => {
    expect(endOf(run)).toBe("exit 2 after 1 min 1 s");
    expect(endOf({ command: [], exit_code: 137, signal: "SIGKILL" })).toBe("ended by SIGKILL");
    expect(endOf({ command: [], exit_code: 127, error: "nope: command not found" })).toBe(
      "nope: command not found",
    );
  });
});

test("rungs say what they mean, and why", () => {
  expect(rungWords("full", null, 200)).toBe("every event is shown");
  expect(rungWords("counts", "throttled", 200)).toBe("exact counts: more than the 200 events/s granted");
  expect(rungWords("counts", "hidden", 200)).toBe("exact counts: this tab was hidden");
  expect(rungWords("summary", "backpressure", null)).toBe(
    "a summary every few seconds: this connection is slow",
  );
});

test("rates and durations", () => {
  expect([0, 0.5, 9.94, 9.96, 1234.5].map(rate)).toEqual(["0", "0.5", "9.9", "10", "1,235"]);
  expect([0, 900, 12_400, 61_000, 3_725_000].map(duration)).toEqual([
    "0.0 s",
    "0.9 s",
    "12 s",
    "1 min 1 s",
    "1 h 2 min",
  ]);
});

test("tones are hints by the words that people use", () => {
  expect(["failed", "stderr", "changed", "ok", "stdout", "token"].map(toneOf)).toEqual([
    "bad",
    "bad",
    "warn",
    "good",
    "plain",
    "plain",
  ]);
});
