//! What the gateway says about channels: each frame is checked against its channel's ledger, booked, and told.
//!
//! Owns the accounts of all channels. Laws 1 and 2 live in the ledger; here law 2 begins with the attach.

import type { Account, Phase } from "./account.js";
import type * as wire from "./frame.js";
import { Ledger, Violation } from "./ledger.js";
import { AFRESH_MIN_MS } from "./limits.js";
import { lower, type Rung } from "./names.js";
import { pause, type Reconnect } from "./reconnect.js";
import type { Continuity, Update } from "./update.js";

/** Takes an update; `chars`: what it is likely to hold on to. */
export type Tell = (channel: string, update: Update, chars: number) => void;

type OfOne =
  | wire.Subscribed
  | wire.Unsubscribed
  | wire.Events
  | wire.Counts
  | wire.Summarised
  | (wire.RungFrame & { readonly channel: string })
  | wire.Reset
  | wire.Unnumbered;
type Live = Extract<Phase, { is: "live" }>;

/** The `code` of an end that the application asked for. */
export const ASKED = "asked";

export class Accounts extends Map<string, Account> {
  /** Of the connection, as last told. */
  ceiling: Rung = "full";
  /** Channels with something to ask the gateway. */
  readonly due = new Set<string>();
  readonly #policy: Reconnect;
  readonly #tell: Tell;
  /** Takes a violation, also of a channel that nobody subscribed. */
  readonly #report: (violation: Violation) => void;

  constructor(policy: Reconnect, tell: Tell, report: (violation: Violation) => void) {
    super();
    this.#policy = policy;
    this.#tell = tell;
    this.#report = report;
  }

  handle(frame: OfOne | wire.Summary | wire.RungFrame, chars: number, now: number): void {
    if (frame.type === "rung" && frame.channel === null) {
      this.ceiling = frame.rung;
      for (const account of this.values()) this.#tellRung(account, frame);
      return;
    }
    const { type } = frame;
    const each =
      type === "summary" && "channels" in frame
        ? frame.channels.map((one): wire.Summarised => ({ type, why: frame.why, ...one }))
        : [frame as OfOne];
    for (const one of each) this.#guard(one.channel, now, () => this.#handleOne(one, chars, now));
  }

  /** The gateway holds no subscription of the channel any more. */
  end(account: Account, code: string, now: number): void {
    const { channel, leaving } = account;
    const follow = leaving?.follow ?? "forget";
    account.drop();
    this.due.add(channel);
    if (follow === "restart") account.restart();
    if (follow === "afresh") {
      // A channel that keeps breaking a law comes back later and later; the first time at once.
      const { strikes } = account;
      const wait = strikes > 1 ? AFRESH_MIN_MS + (pause(this.#policy, strikes - 2, null) ?? 0) : 0;
      account.phase = { is: "wanted", dueAt: now + wait };
    }
    if (follow === "forget") {
      this.due.delete(channel);
      this.delete(channel);
      this.#tell(channel, { type: "unsubscribed", code, ledger: account.turn(null) }, 0);
    }
  }

  #guard(channel: string, now: number, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#handleViolation(channel, error, now);
    }
  }

  /** What the phase does not allow is against law 2; after a violation nothing of the old subscription is read. */
  #handleOne(frame: OfOne, chars: number, now: number): void {
    const { channel, type } = frame;
    const account = this.get(channel);
    const phase = account?.phase;
    if (account && phase) {
      if (type === "unsubscribed" && phase.is !== "wanted") return this.end(account, frame.code, now);
      if (phase.is === "broken") return;
      if (type === "subscribed") {
        const isAnswer = phase.is === "asked" && phase.id === frame.id;
        if (isAnswer && (phase.resumes || !frame.resumed)) {
          return this.#handleSubscribed(account, phase.resumes, frame, now);
        }
      } else if (type !== "unsubscribed" && phase.is === "live" && (type === "reset" || !phase.resetDue)) {
        return this.#handleLive(account, phase, frame, chars, now);
      }
    }
    throw new Violation(channel, "order", `${type} came in phase ${JSON.stringify(phase)}`);
  }

  #handleSubscribed(account: Account, resumes: boolean, frame: wire.Subscribed, now: number): void {
    const { type, channel, attach, rung, max_rate: maxRate, tick_ms: tickMs, upstream } = frame;
    let continuity: Continuity = "pending";
    if (attach && frame.resumed) {
      account.ledger?.checkResume(attach);
      continuity = "resumed";
    } else if (attach) {
      account.turn(new Ledger(channel, attach as wire.Position));
      continuity = resumes ? "refused" : "new";
    }
    Object.assign(account, { rung, maxRate, tickMs });
    if (attach) account.phase = { is: "live", since: now, resetDue: continuity === "refused" };
    account.toldRung = lower(rung, this.ceiling);
    this.#tell(channel, { type, continuity, rung: account.toldRung, maxRate, tickMs }, 0);
    if (upstream !== account.upstream) {
      account.upstream = upstream;
      this.#tell(
        channel,
        { type: "upstream", status: upstream === "up" ? upstream : "down", since: null },
        0,
      );
    }
    // A refused resume is not told but with its reset.
    if (continuity === "new") this.#tellState(account);
  }

  #handleLive(
    account: Account,
    phase: Live,
    frame: Exclude<OfOne, wire.Subscribed | wire.Unsubscribed>,
    chars: number,
    now: number,
  ): void {
    const ledger = account.ledger as Ledger;
    const { channel, ...update } = frame;
    if (frame.type === "rung") {
      account.rung = frame.rung;
      this.#tellRung(account, frame);
    } else if (frame.type === "reset") {
      const { type, ...since } = update as Omit<wire.Reset, "channel">;
      if (!phase.resetDue) account.turn(new Ledger(channel, since));
      else if (said(since) !== said(ledger.since))
        throw new Violation(channel, "order", "reset came elsewhere");
      account.phase = { ...phase, resetDue: false };
      this.#tell(channel, { type, since, closed: account.closed.at(-1) ?? null }, 0);
    } else if (frame.type === "counts" || frame.type === "summary") {
      const { seq: to, ...span } = update as Omit<wire.Counts, "channel">;
      const from = ledger.cursor + 1;
      const counts =
        frame.type === "counts" ? ledger.handleCounts(frame) : ledger.handleSummary(frame.why, frame);
      // A replay is of the past, however fast it comes.
      if (span.why !== "replay") account.rate.note(to - from + 1, now);
      this.#tell(channel, { ...span, from, to, counts }, chars);
    } else {
      if (frame.type === "events") {
        ledger.handleEvents(frame);
        account.rate.note(frame.events.length, now);
      }
      this.#tell(channel, update as Update, chars);
    }
    this.#tellState(account);
  }

  #handleViolation(channel: string, violation: Violation, now: number): void {
    this.#report(violation);
    const account = this.get(channel);
    if (!account) return;
    const { phase } = account;
    if (phase.is === "live" && now - phase.since >= this.#policy.stableAfterMs) account.strikes = 0;
    account.violations++;
    account.strikes++;
    this.#tell(channel, { type: "violation", violation, closed: account.turn(null) }, 0);
    if (phase.is === "wanted") return;
    account.phase = { is: "broken" };
    account.leaving ??= { follow: "afresh", id: null };
    this.due.add(channel);
  }

  #tellState(account: Account): void {
    const state = account.ledger?.state ?? null;
    if (state === account.toldState) return;
    account.toldState = state;
    this.#tell(account.channel, { type: "state", state }, 0);
  }

  #tellRung(account: Account, { type, why }: wire.RungFrame): void {
    const rung = lower(account.rung, this.ceiling);
    if (!account.isAttached || rung === account.toldRung) return;
    account.toldRung = rung;
    this.#tell(account.channel, { type, rung, why }, 0);
  }
}

/** Where a ledger starts, to be compared. */
const said = ({ epoch, seq, totals, state }: wire.Position): string =>
  JSON.stringify([epoch, seq, [...totals].sort(), state]);
