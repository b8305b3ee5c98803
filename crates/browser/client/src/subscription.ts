//! One component's hold on a channel. Several of the same channel share one subscription on the wire, and one ledger.

import type { Account } from "./account.js";
import { Emitter } from "./emitter.js";
import type { Position, State } from "./frame.js";
import { Inbox } from "./inbox.js";
import type { LedgerView } from "./ledger.js";
import { ITERATOR_CHARS_MAX, ITERATOR_EVENTS_MAX } from "./limits.js";
import type { Rung, TickMs } from "./names.js";
import type { Totals } from "./totals.js";
import type { Update } from "./update.js";
import { checkWish, type SubscribeOptions, type Wish } from "./wish.js";

/** The handlers of a subscription, by update type; `update` gets each of them. */
export type SubscriptionHandlers = { [T in Update["type"]]: Extract<Update, { type: T }> } & {
  update: Update;
};

/** What a subscription needs of its client. */
export interface Owner {
  rung(account: Account): Rung;
  now(): number;
  changed(subscription: Subscription): void;
  release(subscription: Subscription): void;
  overflowed(channel: string): void;
}

/** Why a subscription never became ready, or ended. */
export class SubscriptionError extends Error {
  override readonly name = "SubscriptionError";
  constructor(
    readonly channel: string,
    readonly code: string,
  ) {
    super(`the subscription of ${channel} ended: ${code}`);
  }
}

const NONE: Totals = new Map();

export class Subscription extends Emitter<SubscriptionHandlers> implements AsyncIterable<Update> {
  /** Fulfilled at the first attach. Rejected with a {@link SubscriptionError} if it ends before. */
  readonly ready: Promise<Subscription>;
  /** @internal */
  wish: Wish;
  #options: SubscribeOptions;
  #settle: { resolve: (ready: Subscription) => void; reject: (error: Error) => void } | null = null;
  #isOver = false;
  #account: Account | null = null;
  /** The ledger as it was when this hold ended. */
  #final: LedgerView | null = null;
  readonly #iterators = new Set<Iterator>();

  /** @internal */
  constructor(
    private readonly owner: Owner,
    readonly channel: string,
    options: SubscribeOptions,
  ) {
    super();
    this.#options = options;
    this.wish = checkWish(channel, options);
    this.ready = new Promise<Subscription>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever does not wait for it is told by `unsubscribed`.
    this.ready.catch(() => {});
  }

  /** The channel's totals at the cursor. Empty before the attach. */
  get totals(): Totals {
    return this.ledger?.totals ?? NONE;
  }

  /** The seq up to which everything is accounted for. */
  get cursor(): number {
    return this.ledger?.cursor ?? 0;
  }

  /** Where the ledger starts: the attach, or the last reset. Null before. */
  get since(): Position | null {
    return this.ledger?.since ?? null;
  }

  /** Null before the attach, and after a violation until the next one. */
  get ledger(): LedgerView | null {
    return this.#isOver ? this.#final : (this.#account?.ledger ?? null);
  }

  /** The last ledgers of this channel that ended, the oldest first. */
  get closed(): readonly LedgerView[] {
    return this.#account?.closed ?? [];
  }

  /** Events per second over the last 10 s, counted or seen. */
  get rate(): number {
    return this.#account?.rate.read(this.owner.now()) ?? 0;
  }

  /** The newest state event. */
  get state(): State | null {
    return this.ledger?.state ?? null;
  }

  /** What the subscription gets now: the lower of its own rung and the connection's ceiling. */
  get rung(): Rung {
    const account = this.#account;
    return account ? this.owner.rung(account) : this.wish.rung;
  }

  /** Whether the gateway hears the broker; `pending`: not even the attach is known. */
  get upstream(): "up" | "down" | "pending" {
    return this.#account?.upstream ?? "up";
  }

  /** Events per second at `full`, as granted; null before the gateway has said so. */
  get maxRate(): number | null {
    return this.#account?.maxRate ?? null;
  }

  /** As granted; null before the gateway has said so. */
  get tickMs(): TickMs | null {
    return this.#account?.tickMs ?? null;
  }

  /** Whether frames are due: attached on the present connection. */
  get isAttached(): boolean {
    return !this.#isOver && (this.#account?.isAttached ?? false);
  }

  /** Frames of this channel that broke a law. */
  get violations(): number {
    return this.#account?.violations ?? 0;
  }

  /** Whether it was unsubscribed, or the gateway ended it. What it held stays readable. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Asks for another rung, rate or tick from now on. Throws as `subscribe` does. */
  change(options: SubscribeOptions): void {
    const merged = { ...this.#options, ...options };
    this.wish = checkWish(this.channel, merged);
    this.#options = merged;
    if (!this.#isOver) this.owner.changed(this);
  }

  /** Lets go of the channel. The gateway is told when nobody else holds it. */
  unsubscribe(): void {
    if (this.#isOver) return;
    this.owner.release(this);
    this.end("asked", this.ledger);
  }

  /**
   * Every update from now on. Ends with the subscription; leaving the loop ends only the loop. An iterator that is not
   * taken from fast enough gets `skipped`, and the SDK asks for a lower rung of this channel.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Update> {
    const iterator: Iterator = new Iterator(
      () => this.owner.overflowed(this.channel),
      () => this.#iterators.delete(iterator),
    );
    if (this.#isOver) iterator.end();
    else this.#iterators.add(iterator);
    return iterator;
  }

  /** Whether it is held for the first time. @internal */
  hold(account: Account): boolean {
    const isFirst = this.#account === null;
    this.#account = account;
    return isFirst;
  }

  /** The client gave up. @internal */
  refuse(reason: string): void {
    this.#settle?.reject(new SubscriptionError(this.channel, reason));
  }

  /** @internal */
  handle(updates: readonly Update[], chars: number): void {
    for (const update of updates) {
      if (this.#isOver) return;
      const { type } = update;
      if (type === "subscribed" && update.continuity !== "pending") this.#settle?.resolve(this);
      this.emit(type, update as never);
      this.emit("update", update);
      for (const iterator of [...this.#iterators]) iterator.push(update, chars / updates.length);
      if (type === "unsubscribed") {
        this.owner.release(this);
        this.end(update.code, update.ledger);
      }
    }
  }

  /** @internal */
  end(code: string, ledger: LedgerView | null): void {
    this.#final = ledger;
    this.#isOver = true;
    this.#settle?.reject(new SubscriptionError(this.channel, code));
    for (const iterator of [...this.#iterators]) iterator.end();
  }
}

class Iterator implements AsyncIterableIterator<Update> {
  readonly #inbox = new Inbox();
  #taken: Update[] = [];
  #isOver = false;
  #waiting: ((result: IteratorResult<Update, undefined>) => void)[] = [];

  constructor(
    private readonly overflowed: () => void,
    private readonly over: () => void,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(update: Update, chars: number): void {
    const waiting = this.#waiting.shift();
    if (waiting) return waiting({ done: false, value: update });
    this.#inbox.push(update, chars);
    if (this.#inbox.events <= ITERATOR_EVENTS_MAX && this.#inbox.chars <= ITERATOR_CHARS_MAX) return;
    this.#inbox.fold();
    this.overflowed();
  }

  end(): void {
    this.#isOver = true;
    this.over();
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Update, undefined>> {
    if (this.#taken.length === 0) this.#taken = this.#inbox.take().reverse();
    const value = this.#taken.pop();
    if (value) return Promise.resolve({ done: false, value });
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Update, undefined>> {
    this.#inbox.take();
    this.#taken = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }
}
