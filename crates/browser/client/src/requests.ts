//! What the client wants of the gateway, as the next frame to send.
//!
//! Nothing is queued: what is wanted is compared with what was asked, so that what changes back and forth between two
//! frames costs nothing, and what is unsent is bounded by the channels.

import type { Account, Asked } from "./account.js";
import type { Accounts } from "./accounts.js";
import type { ClientFrame, Limits } from "./frame.js";
import type { Violation } from "./ledger.js";
import { FRAME_CHANNELS_MAX, NEVER, REPORTS_MAX } from "./limits.js";
import { lower, type Rung, type TickMs } from "./names.js";

/** Bytes of one channel in a request beside its name: every field present, every number at its longest. */
const CHANNEL_BYTES_MAX = 220;
/** Bytes of a request beside its channels. */
const REQUEST_BYTES_MAX = 64;

/** Until `hello` says something: there is nothing to send before. */
const LIMITS = { max_rate_default: 200, frame_bytes: 0, last: 0 };

export class Requests {
  /** The highest rung wanted on this connection, for each reason that lowers it. */
  readonly ceilings = new Map<"asked" | "hidden" | "overload", Rung>();
  /** The tick of all channels while the page is hidden. */
  tick: TickMs | null = null;
  limits: Pick<Limits, keyof typeof LIMITS> = LIMITS;
  token: string | null = null;
  readonly #accounts: Accounts;
  #askedCeiling: Rung = "full";
  #reports: Violation[] = [];
  #lastId = 0;

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  report(violation: Violation): void {
    if (this.#reports.length < REPORTS_MAX) this.#reports.push(violation);
  }

  /** A new connection knows nothing of the old one; reports outlive it. */
  handleHello(limits: Limits): void {
    this.limits = limits;
    this.#askedCeiling = "full";
    this.touchAll();
  }

  /** Looks at every channel again. */
  touchAll(): void {
    for (const channel of this.#accounts.keys()) this.#accounts.due.add(channel);
  }

  /** The next frame, or null. Rungs of the whole connection go before the subscribes that they hold for. */
  next(now: number): ClientFrame | null {
    const { token } = this;
    if (token !== null) {
      this.token = null;
      return { type: "auth", token };
    }
    const report = this.#reports.shift();
    if (report) {
      const { channel, law, detail } = report;
      return { type: "violation", channel, law, detail };
    }
    return this.#ceilingFrame() ?? this.#rungFrame() ?? this.#leaveFrame() ?? this.#joinFrame(now);
  }

  /** When the next channel that waits is due; never, where none waits. */
  dueAt(): number {
    return this.#due().reduce(
      (earliest, { phase }) => (phase.is === "wanted" ? Math.min(earliest, phase.dueAt) : earliest),
      NEVER,
    );
  }

  #due(): Account[] {
    return [...this.#accounts.due].flatMap((channel) => this.#accounts.get(channel) ?? []);
  }

  /** One frame for all channels; it also brings the quickest of the ticks that they want and do not have. */
  #ceilingFrame(): ClientFrame | null {
    const rung = [...this.ceilings.values()].reduce(lower, "full");
    if (rung === this.#askedCeiling) return null;
    this.#askedCeiling = rung;
    const held = [...this.#accounts.values()].filter((account) => account.asked && !account.leaving);
    const ticks = held.map((account) => {
      const { tickMs } = account.desired(this.tick);
      return tickMs === account.asked?.tickMs ? NEVER : tickMs;
    });
    const tickMs = ticks.reduce((a, b) => Math.min(a, b), NEVER) as TickMs;
    const frame: ClientFrame = { type: "rung", channel: null, rung };
    if ((tickMs as number) === NEVER) return frame;
    for (const account of held) {
      account.asked = { ...(account.asked as Asked), tickMs };
      this.#accounts.due.add(account.channel);
    }
    return { ...frame, tick_ms: tickMs };
  }

  #rungFrame(): ClientFrame | null {
    for (const account of this.#due()) {
      const { channel, asked } = account;
      if (!asked || account.leaving) continue;
      const desired = account.desired(this.tick);
      const { rung, tickMs } = desired;
      const maxRate = desired.maxRate ?? (asked.maxRate && this.limits.max_rate_default);
      this.#accounts.due.delete(channel);
      account.asked = { rung, maxRate, tickMs };
      const frame: ClientFrame = { type: "rung", channel, rung };
      if (maxRate && maxRate !== asked.maxRate) frame.max_rate = maxRate;
      if (tickMs !== asked.tickMs) frame.tick_ms = tickMs;
      if (rung !== asked.rung || frame.max_rate || frame.tick_ms) return frame;
    }
    return null;
  }

  #leaveFrame(): ClientFrame | null {
    const id = this.#lastId + 1;
    const channels = this.#take(
      (account) => account.leaving?.id === null,
      (account) => {
        if (account.leaving) account.leaving = { ...account.leaving, id };
        return account.channel;
      },
    );
    return channels && { type: "unsubscribe", id, channels };
  }

  #joinFrame(now: number): ClientFrame | null {
    const id = this.#lastId + 1;
    const channels = this.#take(
      ({ phase }) => phase.is === "wanted" && phase.dueAt <= now,
      (account) => {
        const request = account.request(this.tick, this.limits.last);
        account.asked = account.desired(this.tick);
        account.phase = { is: "asked", id, resumes: request.after !== undefined };
        return request;
      },
    );
    return channels && { type: "subscribe", id, channels };
  }

  /** One request's worth of channels, and its id; null where there is none. One channel always fits. */
  #take<T>(isMeant: (account: Account) => boolean, ask: (account: Account) => T): T[] | null {
    const asked: T[] = [];
    let room = this.limits.frame_bytes - REQUEST_BYTES_MAX;
    for (const account of this.#due().filter(isMeant)) {
      room -= account.channel.length + CHANNEL_BYTES_MAX;
      if (asked.length === FRAME_CHANNELS_MAX || (asked.length > 0 && room < 0)) break;
      asked.push(ask(account));
      this.#accounts.due.delete(account.channel);
    }
    if (asked.length === 0) return null;
    this.#lastId++;
    return asked;
  }
}
