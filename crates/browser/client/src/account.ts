//! One channel of a session: what is wanted, how far the asking got, and its ledgers.

import type { State, SubscribeChannel } from "./frame.js";
import type { Ledger, LedgerView } from "./ledger.js";
import { CLOSED_LEDGERS_MAX } from "./limits.js";
import { lower, type Rung, type TickMs } from "./names.js";
import { Rate } from "./rate.js";
import type { Wish } from "./wish.js";

/** How far the asking got; at most one request per channel is unanswered. */
export type Phase =
  | { readonly is: "wanted"; readonly dueAt: number }
  /** `resumes`: whether it had `after`. */
  | { readonly is: "asked"; readonly id: number; readonly resumes: boolean }
  /** Attached. `resetDue`: as the answer to `after`, so that a `reset` must repeat where the ledger starts. */
  | { readonly is: "live"; readonly since: number; readonly resetDue: boolean }
  /** A law was broken: until the end is confirmed, nothing that comes is read. */
  | { readonly is: "broken" };

/** What follows when the gateway has confirmed the end; `afresh`: a law was broken. */
export type Follow = "forget" | "restart" | "resume" | "afresh";

/** What the gateway was asked for, so that only differences are sent. */
export interface Asked {
  readonly rung: Rung;
  readonly maxRate: number | null;
  readonly tickMs: TickMs;
}

const WANTED: Phase = { is: "wanted", dueAt: 0 };

export class Account {
  phase: Phase = WANTED;
  /** The channel is to be unsubscribed, or (with the request's id) was. What comes until then is booked as before. */
  leaving: { readonly follow: Follow; readonly id: number | null } | null = null;
  ledger: Ledger | null = null;
  closed: Ledger[] = [];
  /** The rung that the gateway last told for this channel. */
  rung: Rung;
  /** The lower of it and the connection's ceiling, as the application was told. */
  toldRung: Rung;
  /** The newest state, as the application was told. */
  toldState: State | null = null;
  maxRate: number | null = null;
  tickMs: TickMs | null = null;
  asked: Asked | null = null;
  /** A rung that the SDK asks for because a taker of this channel is too slow. */
  lowered: Rung = "full";
  upstream: "up" | "down" | "pending" = "up";
  rate = new Rate();
  violations = 0;
  /** Violations without a calm period between them. */
  strikes = 0;
  /** `last` is for the first attach only. */
  #isFirst = true;

  constructor(
    readonly channel: string,
    public wish: Wish,
  ) {
    this.rung = wish.rung;
    this.toldRung = wish.rung;
  }

  get isAttached(): boolean {
    return this.phase.is === "live";
  }

  /** What is to be asked for now; `tick`: that of a hidden page. */
  desired(tick: TickMs | null): Asked {
    const { rung, maxRate, tickMs } = this.wish;
    return { rung: lower(rung, this.lowered), maxRate, tickMs: tick ?? tickMs };
  }

  /** Ends the ledger, keeps it among the closed ones, and goes on with the next one. */
  turn(next: Ledger | null): LedgerView | null {
    const { ledger } = this;
    if (ledger) this.closed = [...this.closed, ledger].slice(-CLOSED_LEDGERS_MAX);
    if (next) this.#isFirst = false;
    this.ledger = next;
    return ledger;
  }

  /** There is no subscription any more: it is to be asked for. */
  drop(): void {
    this.asked = null;
    this.leaving = null;
    if (this.phase.is !== "wanted") this.phase = WANTED;
  }

  /** The account of a channel that starts over because the application said so. */
  restart(): void {
    this.ledger = null;
    this.rate = new Rate();
    this.#isFirst = true;
  }

  /**
   * What to ask for now. A ledger is resumed from its cursor. One of a channel that had no events yet has no epoch to
   * resume with: going back by as many events as the gateway allows is the nearest thing. After a violation neither.
   */
  request(tick: TickMs | null, lastMax: number): SubscribeChannel {
    const { rung, maxRate, tickMs } = this.desired(tick);
    const { channel, ledger, wish } = this;
    const last = ledger ? lastMax : this.#isFirst ? Math.min(wish.last, lastMax) : 0;
    const after = ledger?.epoch ? { epoch: ledger.epoch, seq: ledger.cursor } : undefined;
    return {
      channel,
      rung,
      max_rate: maxRate ?? undefined,
      tick_ms: tickMs,
      tail: wish.tail || undefined,
      last: after ? undefined : last || undefined,
      after,
    };
  }
}
