//! The jobs that the index channel tells of: who runs, who ended and how. Pure. Bounded: JOBS_MAX.

import { isChannel, type State, type TallyEvent } from "tally-client";
import { JOBS_ENDED_MAX, JOBS_LISTED_MAX, JOBS_MAX } from "../limits";
import { asRun, commandOf, endOf } from "./words";

export interface Job {
  readonly channel: string;
  readonly command: string;
  readonly host: string;
  readonly startedAt: number;
  /** Null while it runs. */
  readonly end: JobEnd | null;
}

export interface JobEnd {
  readonly at: number;
  readonly isGood: boolean;
  /** "exit 2 after 61 s" */
  readonly words: string;
  readonly durationMs: number | null;
}

export class Jobs {
  readonly #jobs = new Map<string, Job>();

  get size(): number {
    return this.#jobs.size;
  }

  find(channel: string): Job | undefined {
    return this.#jobs.get(channel);
  }

  /** An event of the index. Returns whether it was about a job. */
  handle(event: Pick<TallyEvent | State, "kind" | "at" | "data">): boolean {
    const run = asRun(event.data);
    const channel = run?.channel;
    if (!run || !isChannel(channel)) return false;
    const isEnd = event.kind === "run_finished";
    if (!isEnd && event.kind !== "run_started") return false;
    const known = this.#jobs.get(channel);
    const startedAt = isEnd ? (known?.startedAt ?? event.at - (run.duration_ms ?? 0)) : event.at;
    const isGood = run.exit_code === 0 && !run.signal && !run.error;
    const end = isEnd
      ? { at: event.at, isGood, words: endOf(run), durationMs: run.duration_ms ?? null }
      : null;
    this.#jobs.delete(channel);
    this.#jobs.set(channel, { channel, command: commandOf(run), host: run.host ?? "", startedAt, end });
    if (this.#jobs.size > JOBS_MAX) this.#forget();
    return true;
  }

  /** Those to list: running ones with the newest first, then those that ended last. */
  listed(): { jobs: Job[]; more: number } {
    const all = [...this.#jobs.values()];
    const running = all.filter((job) => !job.end).sort((a, b) => b.startedAt - a.startedAt);
    const ended = all.filter((job) => job.end).sort((a, b) => (b.end?.at ?? 0) - (a.end?.at ?? 0));
    const jobs = [...running.slice(0, JOBS_LISTED_MAX), ...ended.slice(0, JOBS_ENDED_MAX)].slice(
      0,
      JOBS_LISTED_MAX,
    );
    return { jobs, more: all.length - jobs.length };
  }

  /** The one that ended longest ago goes; where none has ended, the oldest. */
  #forget(): void {
    const all = [...this.#jobs.values()];
    const goes = all.find((job) => job.end) ?? all[0];
    if (goes) this.#jobs.delete(goes.channel);
  }
}
