//! Hands updates over to the page, one batch per animation frame or at once. Bounded: see `limits.ts`.

import { Inbox } from "./inbox.js";
import { EVENT_WEIGHT, FRAME_WAIT_MAX_MS, UNTAKEN_WEIGHT_MAX } from "./limits.js";
import type { Update } from "./update.js";

/** `frame`: one batch per animation frame (the default in a page). `now`: with the message that brought them. */
export type HandOverMode = "frame" | "now";

/** Takes the updates of a channel, and what they weigh. */
export type Deliver = (channel: string, updates: Update[], weight: number) => void;

/** A frame may come this late, in ms, without the page counting as busy. */
const FRAME_LATE_MS = 50;

export interface HandOver {
  /** `chars`: what the update is likely to hold on to, beside its events. */
  push(channel: string, update: Update, chars: number): void;
  /** The input that caused updates was handled: hand them over, or see to it that a frame does. */
  settle(): void;
}

/** `done` is told after each hand-over how long it kept the page busy, in ms, and whether something was let go. */
export const handOver = (
  mode: HandOverMode,
  deliver: Deliver,
  done: (busyMs: number, folded: boolean) => void,
): HandOver => {
  let inboxes = new Map<string, Inbox>();
  let weight = 0;
  let folded = false;
  let isDelivering = false;
  /** Ends the wait for a frame; null where none is awaited. */
  let cancel: (() => void) | null = null;

  const flush = (lateMs: number): void => {
    cancel?.();
    const taken = inboxes;
    const wasFolded = folded;
    cancel = null;
    inboxes = new Map();
    weight = 0;
    folded = false;
    isDelivering = true;
    const start = performance.now();
    for (const [channel, inbox] of taken) deliver(channel, inbox.updates, inbox.weight);
    isDelivering = false;
    done(performance.now() - start + Math.max(0, lateMs - FRAME_LATE_MS), wasFolded);
    settle();
  };

  /** A hidden page has no frames, and neither has one that is covered: then a timer comes first. */
  const awaitFrame = (): void => {
    const due = performance.now();
    const isHidden = globalThis.document?.hidden;
    const timer = setTimeout(flush, isHidden ? 0 : FRAME_WAIT_MAX_MS, 0);
    const frame = isHidden ? 0 : requestAnimationFrame(() => flush(performance.now() - due));
    cancel = () => {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
    };
  };

  const settle = (): void => {
    // A handler that calls the client comes by here: what it caused follows what it is being told.
    if (inboxes.size === 0 || cancel || isDelivering) return;
    if (mode === "frame") awaitFrame();
    else flush(0);
  };

  const push = (channel: string, update: Update, chars: number): void => {
    const inbox = inboxes.get(channel) ?? new Inbox();
    const added = chars + EVENT_WEIGHT * (update.type === "events" ? update.events.length : 1);
    inboxes.set(channel, inbox);
    inbox.push(update, added);
    weight += added;
    if (weight <= UNTAKEN_WEIGHT_MAX) return;
    folded = true;
    weight = 0;
    for (const one of inboxes.values()) {
      one.fold();
      weight += one.weight;
    }
  };

  return { push, settle };
};
