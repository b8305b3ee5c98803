//! One channel of a session: what is wanted, how far the asking got, and its ledgers.

import type { Position, SubscribeChannel } from "./frame.js";
import type { Ledger, LedgerView } from "./ledger.js";
import { CLOSED_LEDGERS_MAX } from "./limits.js";
import { lower, type Rung, type TickMs } from "./names.js";
import { Rate } from "./rate.js";
import type { Wish } from "./wish.js";

/** A `subscribe` without its attach. */
export interface Unanswered {
  readonly id: number;
  /** Whether it had `after`. */
  readonly resumes: boolean;
}

/** What follows when the gateway has confirmed the end; `afresh`: a law was broken. */
export type Follow = "forget" | "restart" | "resume" | "afresh";

/**
 * How far the asking got; at most one request per channel is unanswered. While leaving, what is on its way is booked as
 * before; after a violation there is neither an attach to wait for nor a ledger, and all is dropped.
 */
export type Phase =
  | { readonly is: "wanted"; readonly dueAt: number }
  | { readonly is: "asked"; readonly unanswered: Unanswered }
  | { readonly is: "live"; readonly since: number }
  | {
      readonly is: "leaving";
      readonly id: number | null;
      readonly follow: Follow;
      readonly unanswered: Unanswered | null;
      readonly was: Phase;
    };

/** What the gateway was asked for, so that only differences are sent. */
export interface Asked {
  readonly rung: Rung;
  readonly maxRate: number | null;
  readonly tickMs: TickMs;
}

export class Account {
  phase: Phase = { is: "wanted", dueAt: 0 };
  ledger: Ledger | null = null;
  closed: Ledger[] = [];
  /** The rung last told for this channel. */
  rung: Rung;
  maxRate: number | null = null;
  tickMs: TickMs | null = null;
  asked: Asked | null = null;
  /** A rung that the SDK asks for because a taker of this channel is too slow. */
  lowered: Rung = "full";
  upstream: "up" | "down" | "pending" = "up";
  /** Between a refused `after` and its `reset`: what the `reset` has to repeat. */
  resetDue: Position | null = null;
  rate = new Rate();
  violations = 0;
  /** Violations without a calm period between them. */
  strikes = 0;
  afreshAt = 0;
  /** `last` is for the first attach only. */
  #attached = false;

  constructor(
    readonly channel: string,
    public wish: Wish,
  ) {
    this.rung = wish.rung;
  }

  get isAttached(): boolean {
    const { phase } = this;
    return phase.is === "live" || (phase.is === "leaving" && !phase.unanswered && this.ledger !== null);
  }

  /** What is to be asked for now; `tick`: that of a hidden page. */
  desired(tick: TickMs | null): Asked {
    const { rung, maxRate, tickMs } = this.wish;
    return { rung: lower(rung, this.lowered), maxRate, tickMs: tick ?? tickMs };
  }

  openLedger(ledger: Ledger): void {
    this.ledger = ledger;
    this.#attached = true;
  }

  /** Ends the ledger and keeps it among the closed ones. */
  closeLedger(): LedgerView | null {
    const { ledger } = this;
    this.ledger = null;
    if (ledger) this.closed = [...this.closed, ledger].slice(-CLOSED_LEDGERS_MAX);
    return ledger;
  }

  /** The channel is to be unsubscribed. An attach that is on its way is waited for, except after a violation. */
  leave(follow: Follow): void {
    const was = this.phase;
    const unanswered = was.is === "asked" && follow !== "afresh" ? was.unanswered : null;
    this.phase = { is: "leaving", id: null, follow, unanswered, was };
  }

  /** The account of a channel that starts over because the application said so. */
  restart(): void {
    this.ledger = null;
    this.rate = new Rate();
    this.#attached = false;
    this.resetDue = null;
    this.phase = { is: "wanted", dueAt: 0 };
  }

  /**
   * What to ask for now. A ledger is resumed from its cursor. One of a channel that had no events yet has no epoch to
   * resume with: going back by as many events as the gateway allows is the nearest thing. After a violation neither.
   */
  request(tick: TickMs | null, lastMax: number): SubscribeChannel {
    const { rung, maxRate, tickMs } = this.desired(tick);
    const { channel, ledger, wish } = this;
    const request: SubscribeChannel = { channel, rung, max_rate: maxRate ?? undefined, tick_ms: tickMs };
    if (wish.tail) request.tail = true;
    if (ledger?.epoch) request.after = { epoch: ledger.epoch, seq: ledger.cursor };
    else if (ledger) request.last = lastMax;
    else if (!this.#attached) request.last = Math.min(wish.last, lastMax);
    if (request.last === 0) delete request.last;
    return request;
  }
}
