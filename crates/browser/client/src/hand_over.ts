//! Hands updates over to the page, one batch per animation frame or at once. Bounded: see `limits.ts`.

import { Inbox } from "./inbox.js";
import { FRAME_WAIT_MAX_MS, UNTAKEN_CHARS_MAX, UNTAKEN_EVENTS_MAX } from "./limits.js";
import type { Update } from "./update.js";

/** `frame`: one batch per animation frame (the default in a page). `now`: with the message that brought them. */
export type HandOverMode = "frame" | "now";

/** A frame may come this late, in ms, without the page counting as busy. */
const FRAME_LATE_MS = 50;

export class HandOver {
  readonly #inboxes = new Map<string, Inbox>();
  #events = 0;
  #chars = 0;
  #folded = false;
  #isDelivering = false;
  /** Ends the wait for a frame; null where none is awaited. */
  #cancel: (() => void) | null = null;

  constructor(
    private readonly mode: HandOverMode,
    private readonly deliver: (channel: string, updates: Update[], chars: number) => void,
    /** Told after each hand-over: how long it kept the page busy, in ms, and whether something was let go. */
    private readonly done: (busyMs: number, folded: boolean) => void,
  ) {}

  push(channel: string, update: Update, chars: number): void {
    let inbox = this.#inboxes.get(channel);
    if (!inbox) {
      inbox = new Inbox();
      this.#inboxes.set(channel, inbox);
    }
    const { events } = inbox;
    inbox.push(update, chars);
    this.#events += inbox.events - events;
    this.#chars += chars;
    if (this.#events > UNTAKEN_EVENTS_MAX || this.#chars > UNTAKEN_CHARS_MAX) this.#fold();
  }

  /** The input that caused updates was handled: hand them over, or see to it that a frame does. */
  settle(): void {
    // A handler that calls the client comes by here: what it caused follows what it is being told.
    if (this.#inboxes.size === 0 || this.#cancel || this.#isDelivering) return;
    if (this.mode === "frame") this.#awaitFrame();
    else while (this.#inboxes.size) this.flush(0);
  }

  flush(lateMs: number): void {
    this.#cancel?.();
    this.#cancel = null;
    const inboxes = [...this.#inboxes];
    const folded = this.#folded;
    this.#inboxes.clear();
    this.#events = 0;
    this.#chars = 0;
    this.#folded = false;
    const start = performance.now();
    this.#isDelivering = true;
    for (const [channel, inbox] of inboxes) {
      const { chars } = inbox;
      this.deliver(channel, inbox.take(), chars);
    }
    this.#isDelivering = false;
    this.done(performance.now() - start + Math.max(0, lateMs - FRAME_LATE_MS), folded);
    if (this.mode === "frame") this.settle();
  }

  #fold(): void {
    this.#folded = true;
    this.#events = 0;
    this.#chars = 0;
    for (const inbox of this.#inboxes.values()) {
      inbox.fold();
      this.#events += inbox.events;
    }
  }

  /** A hidden page has no frames, and neither has one that is covered: then a timer comes first. */
  #awaitFrame(): void {
    const due = performance.now();
    const isHidden = globalThis.document?.hidden ?? false;
    const timer = setTimeout(() => this.flush(0), isHidden ? 0 : FRAME_WAIT_MAX_MS);
    const frame = isHidden ? 0 : requestAnimationFrame(() => this.flush(performance.now() - due));
    this.#cancel = () => {
      clearTimeout(timer);
      if (frame) cancelAnimationFrame(frame);
    };
  }
}
