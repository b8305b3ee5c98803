//! How fast a channel's cursor moves: looked at once a second, kept for a minute. Pure. Bounded: SAMPLES_MAX.
//!
//! Not the SDK's rate, which has events from before the attach in it where those are asked for.

import { SAMPLES_MAX } from "../limits";

/** Looks that a rate is taken over: ticks of a second never fall into each second evenly. */
const OVER = 5;

export class Samples {
  /** Events per second, the newest last. */
  readonly values: number[] = [];
  #looks: { readonly cursor: number; readonly now: number }[] = [];

  /** Null: there is no account at present. */
  look(cursor: number | null, now: number): void {
    const newest = this.#looks[this.#looks.length - 1];
    // A reset starts lower, and tells nothing of speed.
    if (cursor === null || (newest && cursor < newest.cursor)) this.#looks = [];
    if (cursor === null) return;
    this.#looks = [...this.#looks, { cursor, now }].slice(-OVER - 1);
    const first = this.#looks[0];
    if (!first || first.now >= now) return;
    this.values.push(((cursor - first.cursor) * 1000) / (now - first.now));
    if (this.values.length > SAMPLES_MAX) this.values.shift();
  }

  get rate(): number {
    return this.values[this.values.length - 1] ?? 0;
  }
}
