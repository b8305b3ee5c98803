//! A subscription as a loop. Bounded by the weight of what is not taken yet.

import { Inbox } from "./inbox.js";
import { ITERATOR_WEIGHT_MAX } from "./limits.js";
import type { Update } from "./update.js";

type Taken = IteratorResult<Update, undefined>;
const OVER: Taken = { done: true, value: undefined };

/** What the subscription puts in at one end, and the loop takes out at the other. */
export interface Pipe extends AsyncIterableIterator<Update> {
  push(update: Update, weight: number): void;
  end(): void;
}

/** `overflowed`: too much was not taken in time, and was folded. `over`: nobody takes any more. */
export const pipe = (overflowed: () => void, over: (pipe: Pipe) => void): Pipe => {
  const inbox = new Inbox();
  const waiting: ((taken: Taken) => void)[] = [];
  let taken: Update[] = [];
  let isOver = false;
  const self: Pipe = {
    [Symbol.asyncIterator]: () => self,
    push(value, weight) {
      const first = waiting.shift();
      if (first) return first({ value });
      inbox.push(value, weight);
      if (inbox.weight <= ITERATOR_WEIGHT_MAX) return;
      inbox.fold();
      overflowed();
    },
    end() {
      isOver = true;
      over(self);
      for (const one of waiting.splice(0)) one(OVER);
    },
    async next() {
      if (taken.length === 0) taken = inbox.take();
      const value = taken.shift();
      if (value) return { value };
      return isOver ? OVER : new Promise((resolve) => waiting.push(resolve));
    },
    async return() {
      inbox.take();
      taken = [];
      self.end();
      return OVER;
    },
  };
  return self;
};
