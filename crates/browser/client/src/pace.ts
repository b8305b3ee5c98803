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
  #calmMs: number = CALM_MS[0];
  #raisedAt = Number.NEGATIVE_INFINITY;
  #loweredAt = Number.NEGATIVE_INFINITY;

  /** Updates were handed over: it took that long. `folded`: some had to be let go. Returns whether the rung changed. */
  handle(now: number, tookMs: number, folded: boolean): boolean {
    this.#busyMs += tookMs;
    // Also where the wall clock was set back.
    if (now < this.#windowFrom || now - this.#windowFrom > 3 * WINDOW_MS) this.#begin(now, tookMs);
    const passed = now - this.#windowFrom;
    const share = passed >= WINDOW_MS ? this.#busyMs / passed : 0;
    if (passed >= WINDOW_MS) this.#begin(now, 0);
    if (folded || share > CALM_MAX) this.#calmFrom = now;
    if (folded || share > BUSY_MAX) return this.#lower(now);
    return this.rung !== "full" && now - this.#calmFrom >= this.#calmMs && this.#raise(now);
  }

  #begin(now: number, busyMs: number): void {
    this.#windowFrom = now;
    this.#busyMs = busyMs;
  }

  #lower(now: number): boolean {
    // What was asked takes a while to show.
    if (this.rung === "summary" || Math.abs(now - this.#loweredAt) < WINDOW_MS) return false;
    const doubled = now - this.#raisedAt < LASTED_MS ? this.#calmMs * 2 : CALM_MS[0];
    this.#calmMs = Math.min(doubled, CALM_MS[1]);
    this.#loweredAt = now;
    return this.#step(-1);
  }

  #raise(now: number): boolean {
    this.#raisedAt = now;
    this.#calmFrom = now;
    return this.#step(1);
  }

  #step(by: number): boolean {
    this.rung = RUNGS[RUNGS.indexOf(this.rung) + by] as Rung;
    return true;
  }
}
