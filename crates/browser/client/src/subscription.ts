//! One component's hold on a channel. Several of the same channel share one subscription on the wire, and one ledger.

import { Account } from "./account.js";
import { Emitter } from "./emitter.js";
import type { Position, State } from "./frame.js";
import { type Pipe, pipe } from "./iterator.js";
import type { LedgerView } from "./ledger.js";
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
  /** Wants something else, or is over. */
  changed(subscription: Subscription): void;
  overflowed(channel: string): void;
}

/** Why a subscription never became ready, or ended. */
export class SubscriptionError extends Error {
  override readonly name = "SubscriptionError";
  constructor(
    /** The one that was subscribed. */
    readonly channel: string,
    /** `asked`, an error code of the wire, or why there is no connection. */
    readonly code: string,
  ) {
    super(`the subscription of ${channel} ended: ${code}`);
  }
}

const NONE: Totals = new Map();

/** One holder's view of a channel: its updates, and everything that is known of it. */
export class Subscription extends Emitter<SubscriptionHandlers> implements AsyncIterable<Update> {
  /** The name that was subscribed. */
  readonly channel: string;
  /** Fulfilled at the first attach. Rejected with a {@link SubscriptionError} if it ends before. */
  readonly ready: Promise<Subscription>;
  /** @internal */
  wish: Wish;
  readonly #owner: Owner;
  #options: SubscribeOptions;
  #resolve!: (ready: Subscription) => void;
  #reject!: (error: Error) => void;
  /** Until the end of the tick one of its own, with nothing in it. */
  #account: Account;
  #isHeld = false;
  /** The ledger as it was when this hold ended; undefined until then. */
  #final: LedgerView | null | undefined;
  readonly #iterators = new Set<Pipe>();

  /** @internal */
  constructor(owner: Owner, channel: string, options: SubscribeOptions) {
    super();
    this.channel = channel;
    this.#owner = owner;
    this.#options = options;
    this.wish = checkWish(channel, options);
    this.#account = new Account(channel, this.wish);
    this.ready = new Promise<Subscription>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
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
    return this.#final === undefined ? this.#account.ledger : this.#final;
  }

  /** The last ledgers of this channel that ended, the oldest first. */
  get closed(): readonly LedgerView[] {
    return this.#account.closed;
  }

  /** Events per second over the last 10 s, counted or seen. */
  get rate(): number {
    return this.#account.rate.read(Date.now());
  }

  /** The newest state event. */
  get state(): State | null {
    return this.ledger?.state ?? null;
  }

  /** What the subscription gets now: the lower of its own rung and the connection's ceiling. */
  get rung(): Rung {
    return this.#account.toldRung;
  }

  /** Whether the gateway hears the broker; `pending`: not even the attach is known. */
  get upstream(): "up" | "down" | "pending" {
    return this.#account.upstream;
  }

  /** Events per second at `full`, as granted; null before the gateway has said so. */
  get maxRate(): number | null {
    return this.#account.maxRate;
  }

  /** As granted; null before the gateway has said so. */
  get tickMs(): TickMs | null {
    return this.#account.tickMs;
  }

  /** Whether frames are due: attached on the present connection. */
  get isAttached(): boolean {
    return !this.isOver && this.#account.isAttached;
  }

  /** Frames of this channel that broke a law. */
  get violations(): number {
    return this.#account.violations;
  }

  /** Whether it was unsubscribed, or the gateway ended it. What it held stays readable. */
  get isOver(): boolean {
    return this.#final !== undefined;
  }

  /** Asks for another rung, rate or tick from now on. Throws as `subscribe` does. */
  change(options: SubscribeOptions): void {
    const merged = { ...this.#options, ...options };
    this.wish = checkWish(this.channel, merged);
    this.#options = merged;
    if (!this.isOver) this.#owner.changed(this);
  }

  /** Lets go of the channel. The gateway is told when nobody else holds it. */
  unsubscribe(): void {
    if (!this.isOver) this.#end("asked", this.ledger);
  }

  /**
   * Every update from now on. Ends with the subscription; leaving the loop ends only the loop. An iterator that is not
   * taken from fast enough gets `skipped`, and the SDK asks for a lower rung of this channel.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Update> {
    const iterator = pipe(
      () => this.#owner.overflowed(this.channel),
      (one) => this.#iterators.delete(one),
    );
    if (this.isOver) iterator.end();
    else this.#iterators.add(iterator);
    return iterator;
  }

  /** Whether it is held for the first time. @internal */
  hold(account: Account): boolean {
    const isFirst = !this.#isHeld;
    this.#isHeld = true;
    this.#account = account;
    return isFirst;
  }

  /** The client gave up. @internal */
  refuse(reason: string): void {
    this.#reject(new SubscriptionError(this.channel, reason));
  }

  /** @internal */
  handle(updates: readonly Update[], weight: number): void {
    for (const update of updates) {
      if (this.isOver) return;
      const { type } = update;
      if (type === "subscribed" && update.continuity !== "pending") this.#resolve(this);
      this.emit(type, update as never);
      this.emit("update", update);
      for (const iterator of [...this.#iterators]) iterator.push(update, weight / updates.length);
      if (type === "unsubscribed") this.#end(update.code, update.ledger);
    }
  }

  #end(code: string, ledger: LedgerView | null): void {
    this.#final = ledger;
    this.refuse(code);
    for (const iterator of [...this.#iterators]) iterator.end();
    this.#owner.changed(this);
  }
}
