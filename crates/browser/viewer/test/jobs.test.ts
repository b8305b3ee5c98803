//! The list of jobs, from what the index says.

import { describe, expect, test } from "vitest";
import { JOBS_ENDED_MAX, JOBS_LISTED_MAX, JOBS_MAX } from "../src/limits";
import { Jobs } from "../src/model/jobs";

const started = (channel: string, at: number) => ({
  kind: "run_started",
  at,
  data: { command: ["ls"], channel },
});
const finished = (channel: string, at: number, exit_code = 0) => ({
  kind: "run_finished",
  at,
  data: { command: ["ls"], channel, exit_code, duration_ms: 1_500 },
});
const names = (jobs: Jobs) => jobs.listed().jobs.map((job) => job.channel);

describe("a job", () => {
  test("runs, and ends", () => {
    const jobs = new Jobs();
    jobs.handle(started("job:1", 1_000));
    expect(jobs.find("job:1")).toMatchObject({ command: "ls", startedAt: 1_000, end: null });
    jobs.handle(finished("job:1", 9_000, 2));
    expect(jobs.find("job:1")).toMatchObject({
      startedAt: 1_000,
      end: { isGood: false, words: "exit 2 after 1.5 s" },
    });
    jobs.handle(started("job:1", 10_000));
    expect(jobs.find("job:1")?.end).toBeNull();
  });

  test("whose start was not heard began when its duration says", () => {
    const jobs = new Jobs();
    jobs.handle(finished("job:1", 9_000));
    expect(jobs.find("job:1")).toMatchObject({ startedAt: 7_500, end: { isGood: true } });
  });

  test("is not made of anything else", () => {
    const jobs = new Jobs();
    const bad = [
      null,
      {},
      { command: ["x"] },
      { command: ["x"], channel: "no spaces" },
      { command: 1, channel: "a" },
    ];
    for (const data of bad) expect(jobs.handle({ kind: "run_started", at: 1, data })).toBe(false);
    expect(jobs.handle({ ...started("a", 1), kind: "other" })).toBe(false);
    expect(jobs.size).toBe(0);
  });
});

describe("the list", () => {
  test("has running jobs first, the newest first, then those that ended last", () => {
    const jobs = new Jobs();
    for (const [i, name] of ["a", "b", "c", "d"].entries()) jobs.handle(started(name, i));
    jobs.handle(finished("a", 100));
    jobs.handle(finished("c", 200));
    expect(names(jobs)).toEqual(["d", "b", "c", "a"]);
  });

  test("is bounded, and says how many more there are", () => {
    const jobs = new Jobs();
    for (let i = 0; i < 50; i++) jobs.handle(started(`r${i}`, i));
    expect(jobs.listed()).toMatchObject({ more: 50 - JOBS_LISTED_MAX });
    for (let i = 0; i < 50; i++) jobs.handle(finished(`r${i}`, 100 + i));
    expect(names(jobs)).toHaveLength(JOBS_ENDED_MAX);
  });

  test("forgets those that ended longest ago, and running ones last", () => {
    const jobs = new Jobs();
    jobs.handle(started("runs", 0));
    for (let i = 0; i < JOBS_MAX + 10; i++) jobs.handle(finished(`e${i}`, i));
    expect(jobs.size).toBe(JOBS_MAX);
    expect(jobs.find("runs")).toBeDefined();
    expect(jobs.find("e10")).toBeUndefined();
    expect(jobs.find("e11")).toBeDefined();
  });
});
