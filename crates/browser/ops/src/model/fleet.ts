//! The gateways that have spoken: they appear with their first sample, fall silent, are gone, and leave.
//! Bounded: at most GATEWAYS_MAX, the longest silent goes first.

import {
  CLOCK_MAX_MS,
  GATEWAYS_MAX,
  GONE_AFTER_MS,
  HELD_GONE_MS,
  LISTED_GONE_MS,
  SILENT_AFTER_MS,
} from "../bounds.js";
import type { HistoryPart } from "../shape/answer.js";
import type { Sample } from "../shape/sample.js";
import { Series } from "./series.js";

export type Presence = "running" | "draining" | "silent" | "gone";

export interface Gateway {
  readonly id: string;
  readonly name: string;
  readonly series: Series;
  /** The newest one; null: known from a history only. */
  readonly sample: Sample | null;
  /** The one before, to tell what changed. */
  readonly before: Sample | null;
  /** When it was last heard, by the page's clock, in ms. */
  readonly heardAt: number;
  /** It said that it leaves. */
  readonly isLeaving: boolean;
  /** The page's clock minus the gateway's, and the way here, in ms: the least that was seen. */
  readonly delay: number;
}

type Held = { -readonly [K in keyof Gateway]: Gateway[K] };

/** How much the least delay is let grow per sample, in ms, so that a clock that was set is followed. */
const DELAY_DRIFT_MS = 5;

export class Fleet {
  readonly #gateways = new Map<string, Held>();

  /** Takes a sample that came at `now` (the page's clock, ms). False: it is older than what is held. */
  take(sample: Sample, now: number): boolean {
    const held = this.#hold(sample.gateway, sample.name, now);
    if (held.sample !== null && sample.at <= held.sample.at) return false;
    const delay = now - sample.at;
    held.delay = held.sample === null ? delay : Math.min(held.delay + DELAY_DRIFT_MS, delay);
    held.before = held.sample;
    held.sample = sample;
    held.name = sample.name;
    held.heardAt = now;
    held.series.add(sample, sample.at + shiftOf(held) * 1000);
    return true;
  }

  /** Takes what one gateway (`teller`, by its clock) remembers of one. */
  fill(step: number, part: HistoryPart, teller: string, now: number): void {
    const told = this.#gateways.get(teller);
    const shift_s = told === undefined ? 0 : shiftOf(told);
    const newest = (part.at.reduce((a, b) => Math.max(a, b), 0) + shift_s) * 1000;
    if (part.at.length === 0) return;
    const isKnown = this.#gateways.has(part.gateway);
    const held = this.#hold(part.gateway, part.name, now);
    if (!isKnown) held.heardAt = Math.min(newest, now);
    else if (held.sample === null) held.heardAt = Math.max(held.heardAt, Math.min(newest, now));
    held.series.fill(step, part, shift_s);
  }

  /** It said that it drains, and will be gone. */
  leave(id: string): void {
    const held = this.#gateways.get(id);
    if (held !== undefined) held.isLeaving = true;
  }

  /** Forgets the gateways that have been gone for longer than the longest chart. */
  expire(now: number): void {
    for (const [id, held] of this.#gateways) {
      if (now - held.heardAt > HELD_GONE_MS) this.#gateways.delete(id);
    }
  }

  get(id: string): Gateway | undefined {
    return this.#gateways.get(id);
  }

  all(): Gateway[] {
    return [...this.#gateways.values()];
  }

  #hold(id: string, name: string, now: number): Held {
    const held = this.#gateways.get(id);
    if (held !== undefined) return held;
    if (this.#gateways.size >= GATEWAYS_MAX) this.#dropLongestSilent();
    const made: Held = {
      id,
      name,
      series: new Series(),
      sample: null,
      before: null,
      heardAt: now,
      isLeaving: false,
      delay: 0,
    };
    this.#gateways.set(id, made);
    return made;
  }

  #dropLongestSilent(): void {
    const [oldest] = this.all().sort((a, b) => a.heardAt - b.heardAt);
    if (oldest !== undefined) this.#gateways.delete(oldest.id);
  }
}

/** `listeningSince`: when the page began to hear everything, so that its own deafness is nobody's silence. */
export const presenceOf = (it: Gateway, now: number, listeningSince: number): Presence => {
  if (it.sample === null && now - it.heardAt > SILENT_AFTER_MS) {
    return now - it.heardAt > GONE_AFTER_MS ? "gone" : "silent";
  }
  const silence = now - Math.max(it.heardAt, listeningSince);
  const isLeaving = it.isLeaving || it.sample?.draining === true;
  if (silence > GONE_AFTER_MS || (isLeaving && silence > SILENT_AFTER_MS)) return "gone";
  if (silence > SILENT_AFTER_MS) return "silent";
  return isLeaving ? "draining" : "running";
};

/** Whether the table of gateways still shows it. */
export const isListed = (it: Gateway, now: number): boolean => now - it.heardAt <= LISTED_GONE_MS;

/** How far its clock is behind the page's, in s; 0 where they agree. */
export const shiftOf = (it: Gateway): number =>
  it.sample === null || Math.abs(it.delay) <= CLOCK_MAX_MS ? 0 : Math.round(it.delay / 1000);
