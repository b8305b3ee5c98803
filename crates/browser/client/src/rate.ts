//! Events per second of one channel, over the last seconds. Bounded: one bucket for each second of the window.

import { RATE_WINDOW_S } from "./limits.js";

export class Rate {
  readonly #buckets: number[] = new Array(RATE_WINDOW_S).fill(0);
  /** The second that the newest bucket stands for; null before the first. */
  #newest: number | null = null;
  #since = 0;

  note(events: number, now: number): void {
    const at = this.#turn(now);
    this.#buckets[at] = (this.#buckets[at] ?? 0) + events;
  }

  read(now: number): number {
    this.#turn(now);
    const seconds = Math.min(RATE_WINDOW_S, Math.max(1, (now - this.#since) / 1000));
    return this.#buckets.reduce((a, b) => a + b, 0) / seconds;
  }

  /** Empties the buckets of the seconds that have passed. */
  #turn(now: number): number {
    const second = Math.floor(now / 1000);
    if (this.#newest === null || second < this.#newest) {
      this.#buckets.fill(0);
      this.#since = now;
    } else {
      const passed = Math.min(second - this.#newest, RATE_WINDOW_S);
      for (let i = 0; i < passed; i++) this.#buckets[(second - i) % RATE_WINDOW_S] = 0;
    }
    this.#newest = second;
    return second % RATE_WINDOW_S;
  }
}
