//! What the gateway says about channels: each frame is checked against its channel's ledger, booked, and told.
//!
//! Owns the accounts of all channels. Laws 1 and 2 live in the ledger; here law 2 begins with the attach.

import type { Account, Follow } from "./account.js";
import type * as wire from "./frame.js";
import { Ledger, Violation } from "./ledger.js";
import { AFRESH_MIN_MS } from "./limits.js";
import { lower, type Rung } from "./names.js";
import { pause, type Random, type Reconnect } from "./reconnect.js";
import { equal, type Totals } from "./totals.js";
import type { Continuity, Update } from "./update.js";

/** Takes an update; `chars`: what it is likely to hold on to. */
export type Tell = (channel: string, update: Update, chars: number) => void;
/** Takes a violation, also of a channel that nobody subscribed. */
export type Report = (violation: Violation) => void;

type OfChannel = Exclude<
  wire.ServerFrame,
  wire.Hello | wire.Heartbeat | wire.Goodbye | wire.Upstream | wire.ErrorFrame
>;

/** The `code` of an end that the application asked for. */
export const ASKED = "asked";

export class Accounts extends Map<string, Account> {
  /** Of the connection, as last told. */
  ceiling: Rung = "full";
  /** Channels with something to ask the gateway. */
  readonly due = new Set<string>();

  constructor(
    private readonly policy: Reconnect,
    private readonly random: Random,
    private readonly tell: Tell,
    private readonly report: Report,
  ) {
    super();
  }

  handle(frame: OfChannel, chars: number, now: number): void {
    if (frame.type === "summary") {
      for (const one of frame.channels) {
        this.#guard(one.channel, now, () => this.#handleSummary(frame.why, one, chars, now));
      }
    } else if (frame.type === "rung" && frame.channel === null) {
      this.#handleCeiling(frame);
    } else {
      this.#guard(frame.channel as string, now, () => this.#handleOne(frame, chars, now));
    }
  }

  /** The gateway holds no subscription of the channel any more. */
  end(account: Account, code: string, now: number): void {
    const { channel, phase } = account;
    const follow: Follow = phase.is === "leaving" ? phase.follow : "forget";
    this.due.delete(channel);
    account.asked = null;
    account.resetDue = null;
    if (follow === "forget") {
      this.delete(channel);
      this.tell(channel, { type: "unsubscribed", code, ledger: account.closeLedger() }, 0);
      return;
    }
    if (follow === "restart") account.restart();
    else account.phase = { is: "wanted", dueAt: follow === "afresh" ? this.#afreshAt(account, now) : 0 };
    this.due.add(channel);
  }

  /** A channel that keeps breaking a law comes back later and later; the first time at once. */
  #afreshAt(account: Account, now: number): number {
    const { strikes } = account;
    const wait = strikes > 1 ? (pause(this.policy, strikes - 2, null, this.random) ?? 0) : 0;
    const earliest = account.afreshAt ? account.afreshAt + AFRESH_MIN_MS : 0;
    account.afreshAt = Math.max(now, earliest) + wait;
    return account.afreshAt;
  }

  #guard(channel: string, now: number, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#handleViolation(channel, error, now);
    }
  }

  #handleOne(frame: Exclude<OfChannel, wire.Summary>, chars: number, now: number): void {
    if (frame.type === "subscribed") return this.#handleSubscribed(frame, now);
    if (frame.type === "unsubscribed") return this.#handleUnsubscribed(frame, now);
    const account = this.#attached(frame.channel as string, frame.type === "reset");
    const ledger = account?.ledger;
    if (!account || !ledger) return;
    if (frame.type === "reset") return this.#handleReset(account, frame, now);
    const { channel } = account;
    switch (frame.type) {
      case "events": {
        const { type, epoch, from, to, events } = frame;
        const before = ledger.state;
        ledger.handleEvents(frame);
        account.rate.note(events.length, now);
        this.tell(channel, { type, epoch, from, to, events }, chars);
        this.#tellState(account, before);
        break;
      }
      case "counts": {
        const from = ledger.cursor + 1;
        const before = ledger.state;
        const counts = ledger.handleCounts(frame);
        const { type, epoch, seq: to, totals, why, state, tail } = frame;
        // A replay is of the past, however fast it comes.
        if (why !== "replay") account.rate.note(to - from + 1, now);
        this.tell(channel, { type, epoch, from, to, counts, totals, why, state, tail }, chars);
        this.#tellState(account, before);
        break;
      }
      case "rung":
        this.#tellRung(account, frame.why, () => {
          account.rung = frame.rung;
        });
        break;
      case "unnumbered": {
        const { type, events, dropped } = frame;
        this.tell(channel, { type, events, dropped }, chars);
      }
    }
  }

  #handleSummary(why: wire.Summary["why"], frame: wire.Reduced, chars: number, now: number): void {
    const account = this.#attached(frame.channel, false);
    const ledger = account?.ledger;
    if (!account || !ledger) return;
    const from = ledger.cursor + 1;
    const before = ledger.state;
    const counts = ledger.handleSummary(why, frame);
    const { epoch, seq: to, totals, state } = frame;
    account.rate.note(to - from + 1, now);
    this.tell(frame.channel, { type: "summary", epoch, from, to, counts, totals, why, state }, chars);
    this.#tellState(account, before);
  }

  #handleCeiling({ rung, why }: wire.RungFrame): void {
    const before = this.ceiling;
    this.ceiling = rung;
    for (const account of this.values()) {
      const now = lower(account.rung, rung);
      if (account.isAttached && now !== lower(account.rung, before)) {
        this.tell(account.channel, { type: "rung", rung: now, why }, 0);
      }
    }
  }

  #handleSubscribed(frame: wire.Subscribed, now: number): void {
    const { channel, attach } = frame;
    const account = this.get(channel);
    if (!account) throw order(channel, "it was attached without being asked for");
    const { phase } = account;
    // After a violation nothing of the old subscription is read.
    if (phase.is === "leaving" && !phase.unanswered && !account.ledger) return;
    const unanswered = phase.is === "asked" || phase.is === "leaving" ? phase.unanswered : null;
    if (!unanswered) throw order(channel, "it was attached twice, or without being asked for");
    if (unanswered.id !== frame.id) throw order(channel, "it was attached by a request that is over");
    const before = account.ledger?.state ?? null;
    let continuity: Continuity = "pending";
    if (attach.is === "resumed") {
      if (!account.ledger) throw order(channel, "it was resumed without a cursor");
      account.ledger.checkResume(attach.epoch, attach.seq);
      continuity = "resumed";
    } else if (attach.is === "at") {
      const ledger = new Ledger(channel, attach.position);
      continuity = unanswered.resumes ? "refused" : "new";
      account.resetDue = unanswered.resumes ? attach.position : null;
      account.closeLedger();
      account.openLedger(ledger);
    }
    account.rung = frame.rung;
    account.maxRate = frame.max_rate;
    account.tickMs = frame.tick_ms;
    if (continuity !== "pending") {
      account.phase =
        phase.is === "leaving"
          ? { ...phase, unanswered: null, was: { is: "live", since: now } }
          : { is: "live", since: now };
    }
    const { rung, maxRate, tickMs } = { ...account, rung: lower(frame.rung, this.ceiling) } as {
      rung: Rung;
      maxRate: number;
      tickMs: wire.Subscribed["tick_ms"];
    };
    this.tell(channel, { type: "subscribed", continuity, rung, maxRate, tickMs }, 0);
    if (frame.upstream !== account.upstream) {
      account.upstream = frame.upstream;
      const status = frame.upstream === "up" ? "up" : "down";
      this.tell(channel, { type: "upstream", status, since: null }, 0);
    }
    // A refused resume is not told but with its reset.
    if (continuity === "new") this.#tellState(account, before);
  }

  #handleUnsubscribed(frame: wire.Unsubscribed, now: number): void {
    const account = this.get(frame.channel);
    if (!account) throw order(frame.channel, "it ended without a subscription");
    if (account.phase.is === "wanted") throw order(frame.channel, "it ended before it was subscribed");
    const ledger = account.isAttached ? account.ledger : null;
    try {
      ledger?.checkEnd(frame.seq, frame.totals);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      // The account is wrong, but over: there is nothing to leave.
      this.report(error);
      this.#strike(account, error);
    }
    this.end(account, frame.code, now);
  }

  #handleReset(account: Account, frame: wire.Reset, now: number): void {
    const { channel } = account;
    const due = account.resetDue;
    const since: wire.Position = {
      epoch: frame.epoch,
      seq: frame.seq,
      totals: frame.totals,
      state: frame.state,
    };
    let closed: Ledger | null = account.closed[account.closed.length - 1] ?? null;
    if (due) {
      account.resetDue = null;
      if (!repeats(since, due)) throw order(channel, "the reset after a refused resume has other values");
    } else {
      const next = new Ledger(channel, since);
      closed = account.ledger;
      account.closeLedger();
      account.openLedger(next);
    }
    account.rate.note(0, now);
    this.tell(channel, { type: "reset", since, closed }, 0);
    this.#tellState(account, closed?.state ?? null);
  }

  #handleViolation(channel: string, violation: Violation, now: number): void {
    this.report(violation);
    const account = this.get(channel);
    if (!account) return;
    const { phase } = account;
    if (phase.is === "live" && now - phase.since >= this.policy.stableAfterMs) account.strikes = 0;
    this.#strike(account, violation);
    if (phase.is === "asked" || phase.is === "live") {
      account.leave("afresh");
      this.due.add(channel);
    } else if (phase.is === "leaving") {
      account.phase = { ...phase, unanswered: null };
    }
  }

  #strike(account: Account, violation: Violation): void {
    account.violations++;
    account.strikes++;
    account.resetDue = null;
    this.tell(account.channel, { type: "violation", violation, closed: account.closeLedger() }, 0);
  }

  /** The account that a frame belongs to; null where the frame is to be dropped. */
  #attached(channel: string, isReset: boolean): Account | null {
    const account = this.get(channel);
    if (!account) throw order(channel, "a frame came without a subscription");
    if (account.resetDue && !isReset)
      throw order(channel, "a frame came between a refused resume and its reset");
    const { phase } = account;
    if (phase.is === "wanted" || phase.is === "asked" || (phase.is === "leaving" && phase.unanswered)) {
      throw order(channel, "a frame came before the attach");
    }
    return account.ledger && account;
  }

  #tellState(account: Account, before: wire.State | null): void {
    const state = account.ledger?.state ?? null;
    if (state !== before) this.tell(account.channel, { type: "state", state }, 0);
  }

  #tellRung(account: Account, why: wire.RungFrame["why"], change: () => void): void {
    const before = lower(account.rung, this.ceiling);
    change();
    const rung = lower(account.rung, this.ceiling);
    if (rung !== before) this.tell(account.channel, { type: "rung", rung, why }, 0);
  }
}

const order = (channel: string, detail: string): Violation => new Violation(channel, "order", detail);

const repeats = (a: wire.Position, b: wire.Position): boolean =>
  a.epoch === b.epoch &&
  a.seq === b.seq &&
  equal(a.totals as Totals, b.totals) &&
  JSON.stringify(a.state) === JSON.stringify(b.state);
