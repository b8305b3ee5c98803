//! What the client wants of the gateway, as the next frame to send.
//!
//! Nothing is queued: what is wanted is compared with what was asked, so that what changes back and forth between two
//! frames costs nothing, and what is unsent is bounded by the channels.

import type { Account, Asked } from "./account.js";
import type { Accounts } from "./accounts.js";
import type { ClientFrame, Limits, SubscribeChannel } from "./frame.js";
import type { Violation } from "./ledger.js";
import { FRAME_CHANNELS_MAX, REPORT_DETAIL_MAX, REPORTS_MAX } from "./limits.js";
import { lower, type Rung, type TickMs } from "./names.js";

/** Bytes of one channel in a `subscribe` frame beside its name: every field present, every number at its longest. */
const SUBSCRIBE_CHANNEL_BYTES_MAX = 220;
/** Bytes of a `subscribe` or `unsubscribe` frame beside its channels. */
const REQUEST_BYTES_MAX = 64;

/** Until `hello` says other ones. */
export const LIMITS: Limits = {
  frame_bytes: 65_536,
  subscriptions: 1_000,
  max_rate_default: 200,
  max_rate: 10_000,
  last: 1_000,
};

export class Requests {
  /** The highest rung wanted on this connection, for each reason that lowers it. */
  readonly ceilings = new Map<"asked" | "hidden" | "overload", Rung>();
  /** The tick of all channels while the page is hidden. */
  tick: TickMs | null = null;
  limits: Limits = LIMITS;
  token: string | null = null;
  #askedCeiling: Rung = "full";
  #reports: Violation[] = [];
  #nextId = 1;

  constructor(private readonly accounts: Accounts) {}

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
    for (const channel of this.accounts.keys()) this.accounts.due.add(channel);
  }

  get ceiling(): Rung {
    let lowest: Rung = "full";
    for (const rung of this.ceilings.values()) lowest = lower(lowest, rung);
    return lowest;
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
      return { type: "violation", channel, law, detail: detail.slice(0, REPORT_DETAIL_MAX) };
    }
    return this.#ceilingFrame() ?? this.#rungFrame() ?? this.#leaveFrame() ?? this.#joinFrame(now);
  }

  /** When the next channel that waits is due; null where none waits. */
  dueAt(): number | null {
    let earliest: number | null = null;
    for (const { phase } of this.#due()) {
      if (phase.is === "wanted" && (earliest === null || phase.dueAt < earliest)) earliest = phase.dueAt;
    }
    return earliest;
  }

  *#due(): Generator<Account> {
    for (const channel of this.accounts.due) {
      const account = this.accounts.get(channel);
      if (account) yield account;
      else this.accounts.due.delete(channel);
    }
  }

  /** One frame for all channels; it also brings the tick that most of them want. */
  #ceilingFrame(): ClientFrame | null {
    const { ceiling: rung } = this;
    if (rung === this.#askedCeiling) return null;
    this.#askedCeiling = rung;
    const held = [...this.accounts.values()].filter(
      (account) => account.asked && account.phase.is !== "leaving",
    );
    const wanted = new Map<TickMs, number>();
    for (const account of held) {
      const { tickMs } = account.desired(this.tick);
      if (account.asked?.tickMs !== tickMs) wanted.set(tickMs, (wanted.get(tickMs) ?? 0) + 1);
    }
    const [most] = [...wanted].sort((a, b) => b[1] - a[1]);
    if (!most) return { type: "rung", channel: null, rung };
    const [tick_ms] = most;
    for (const account of held) {
      account.asked = { ...(account.asked as Asked), tickMs: tick_ms };
      this.accounts.due.add(account.channel);
    }
    return { type: "rung", channel: null, rung, tick_ms };
  }

  #rungFrame(): ClientFrame | null {
    for (const account of this.#due()) {
      const { channel, asked, phase } = account;
      if (!asked || (phase.is !== "asked" && phase.is !== "live")) continue;
      const { rung, tickMs, ...want } = account.desired(this.tick);
      const maxRate = want.maxRate ?? (asked.maxRate === null ? null : this.limits.max_rate_default);
      this.accounts.due.delete(channel);
      const frame: ClientFrame = { type: "rung", channel, rung };
      if (maxRate !== asked.maxRate && maxRate !== null) frame.max_rate = maxRate;
      if (tickMs !== asked.tickMs) frame.tick_ms = tickMs;
      account.asked = { rung, maxRate, tickMs };
      if (rung !== asked.rung || frame.max_rate || frame.tick_ms) return frame;
    }
    return null;
  }

  #leaveFrame(): ClientFrame | null {
    const room = new Room(this.limits.frame_bytes);
    const channels: string[] = [];
    for (const account of this.#due()) {
      const { channel, phase } = account;
      if (phase.is !== "leaving") continue;
      if (phase.id === null) {
        if (!room.take(channel.length + 3)) break;
        account.phase = { ...phase, id: this.#nextId };
        channels.push(channel);
      }
      this.accounts.due.delete(channel);
    }
    return channels.length ? { type: "unsubscribe", id: this.#nextId++, channels } : null;
  }

  #joinFrame(now: number): ClientFrame | null {
    const room = new Room(this.limits.frame_bytes);
    const channels: SubscribeChannel[] = [];
    for (const account of this.#due()) {
      const { channel, phase } = account;
      if (phase.is !== "wanted" || phase.dueAt > now) continue;
      if (!room.take(channel.length + SUBSCRIBE_CHANNEL_BYTES_MAX)) break;
      const request = account.request(this.tick, this.limits.last);
      account.asked = account.desired(this.tick);
      const unanswered = { id: this.#nextId, resumes: request.after !== undefined };
      account.phase = { is: "asked", unanswered };
      channels.push(request);
      this.accounts.due.delete(channel);
    }
    return channels.length ? { type: "subscribe", id: this.#nextId++, channels } : null;
  }
}

/** What still fits into a request: one channel always does. */
class Room {
  #channels = FRAME_CHANNELS_MAX;
  #bytes: number;

  constructor(frameBytes: number) {
    this.#bytes = frameBytes - REQUEST_BYTES_MAX;
  }

  take(bytes: number): boolean {
    const isFirst = this.#channels === FRAME_CHANNELS_MAX;
    const fits = isFirst || (this.#channels > 0 && bytes <= this.#bytes);
    this.#channels -= 1;
    this.#bytes -= bytes;
    return fits;
  }
}
