//! When the page is drawn again: soon after something changed, at most every DRAW_MS, and once a second for clocks.

import { signal } from "@preact/signals";
import { DRAW_MS } from "../limits";

/** Read by what shows something that changes; its value means nothing. */
export const beat = signal(0);
/** As `beat`, once a second: for rates and times. */
export const second = signal(Date.now());

let timer: ReturnType<typeof setTimeout> | undefined;
let drawnAt = Number.NEGATIVE_INFINITY;

const draw = (): void => {
  timer = undefined;
  drawnAt = performance.now();
  beat.value++;
};

/** Something changed. */
export const touch = (): void => {
  timer ??= setTimeout(draw, Math.max(0, drawnAt + DRAW_MS - performance.now()));
};

/** Calls `then` once a second, and draws after it. */
export const startClock = (then: () => void): void => {
  setInterval(() => {
    then();
    second.value = Date.now();
    touch();
  }, 1_000);
};
