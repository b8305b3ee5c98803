//! Events per second of one channel, over the last seconds. Bounded: one count for each second of the window.

import { NEVER, RATE_WINDOW_S } from "./limits.js";
import { add, sum } from "./totals.js";

export class Rate {
  readonly #counts = new Map<number, number>();
  #since = NEVER;

  note(events: number, now: number): void {
    add(this.#counts, this.#turn(now), events);
  }

  read(now: number): number {
    this.#turn(now);
    return sum(this.#counts) / Math.min(RATE_WINDOW_S, Math.max(1, (now - this.#since) / 1000));
  }

  /** Drops the seconds that have passed, and those that a clock which was set back has yet to come to. */
  #turn(now: number): number {
    this.#since = Math.min(this.#since, now);
    const newest = Math.floor(now / 1000);
    for (const second of this.#counts.keys()) {
      if (second > newest || second <= newest - RATE_WINDOW_S) this.#counts.delete(second);
    }
    return newest;
  }
}
