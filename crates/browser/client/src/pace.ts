//! Decides when a page is too slow for what it gets, and when it may have more again. Pure: time is a value.

import { RUNGS, type Rung } from "./names.js";

/** How long the load is measured before it is judged, in ms. */
const WINDOW_MS = 2_000;
/** The share of time that updates may take. More: one rung down. */
const BUSY_MAX = 0.6;
/** The share of time below which the page counts as calm. */
const CALM_MAX = 0.3;
/** Calm for this long: one rung up. It doubles after each climb that did not last. */
const CALM_MS = [10_000, 120_000] as const;
/** A climb that lasted this long has succeeded, in ms. */
const LASTED_MS = 60_000;

export class Pace {
  rung: Rung = "full";
  #windowFrom = 0;
  #busyMs = 0;
  #calmFrom = 0;
  #calmMs = 0;
  #raisedAt = 0;
  #loweredAt = 0;

  /** Updates were handed over: it took that long. `folded`: some had to be let go. Returns whether the rung changed. */
  handle(now: number, tookMs: number, folded: boolean): boolean {
    const passed = now - this.#windowFrom;
    let share = 0;
    this.#busyMs += tookMs;
    // Also where the wall clock was set back.
    if (passed < 0 || passed >= WINDOW_MS) {
      share = this.#busyMs / passed;
      this.#busyMs = 0;
      this.#windowFrom = now;
    }
    const before = this.rung;
    if (folded || share > CALM_MAX) this.#calmFrom = now;
    if (folded || share > BUSY_MAX) this.#lower(now);
    else if (before !== "full" && now - this.#calmFrom >= this.#calmMs) {
      this.#raisedAt = now;
      this.#calmFrom = now;
      this.#step(1);
    }
    return this.rung !== before;
  }

  #lower(now: number): void {
    // What was asked takes a while to show.
    if (this.rung === "summary" || Math.abs(now - this.#loweredAt) < WINDOW_MS) return;
    const [least, most] = CALM_MS;
    this.#calmMs = now - this.#raisedAt < LASTED_MS ? Math.min(this.#calmMs * 2, most) : least;
    this.#loweredAt = now;
    this.#step(-1);
  }

  #step(by: number): void {
    this.rung = RUNGS[RUNGS.indexOf(this.rung) + by] as Rung;
  }
}
