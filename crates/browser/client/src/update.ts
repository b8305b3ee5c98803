//! What an application is told about a channel, in the order in which it happened.

import type { NumberedEvent, Position, State, TallyEvent } from "./frame.js";
import type { LedgerView, Violation } from "./ledger.js";
import type { Rung, TickMs, Why } from "./names.js";
import type { Totals } from "./totals.js";

/** How an attach goes on from what the client held; `refused`: a `reset` follows at once. */
export type Continuity = "pending" | "new" | "resumed" | "refused";

/** The channel is attached, or (`pending`) waits for the broker. */
export interface SubscribedUpdate {
  readonly type: "subscribed";
  /** How it goes on from what was held. */
  readonly continuity: Continuity;
  /** What the subscription gets now. */
  readonly rung: Rung;
  /** Events per second, as granted. */
  readonly maxRate: number;
  /** As granted. */
  readonly tickMs: TickMs;
}

/** Events in full, one for each seq from `from` to `to`; perhaps of several frames. */
export interface EventsUpdate {
  readonly type: "events";
  /** Identity of the numbering. */
  readonly epoch: string;
  /** Seq of the first. */
  readonly from: number;
  /** Seq of the last. */
  readonly to: number;
  /** The nth has seq `from` + n. */
  readonly events: readonly TallyEvent[];
}

interface Span {
  /** Identity of the numbering. */
  readonly epoch: string;
  /** Seq of the first. */
  readonly from: number;
  /** Seq of the last. */
  readonly to: number;
  /** What this span had, by kind. */
  readonly counts: Totals;
  /** The channel's totals at `to`. */
  readonly totals: Totals;
  /** The reason for the reduced form. */
  readonly why: Why;
  /** The newest state event, if it lies in this span. */
  readonly state: State | null;
}

/** Exact counts in place of the events from `from` to `to`. */
export interface CountsUpdate extends Span {
  readonly type: "counts";
  /** The newest events of the span, where `tail` was asked for; they are among `counts`. */
  readonly tail: readonly NumberedEvent[] | null;
}

/** As `counts`, told in a summary of several channels. */
export interface SummaryUpdate extends Span {
  readonly type: "summary";
}

/**
 * The page did not take these in time, so the SDK let them go. The ledger has them as they came; the client has asked
 * for a lower rung, see `overload`.
 */
export interface SkippedUpdate {
  readonly type: "skipped";
  /** Seq of the first. */
  readonly from: number;
  /** Seq of the last. */
  readonly to: number;
  /** What was let go, by kind. */
  readonly counts: Totals;
}

/** The newest state event is another one. */
export interface StateUpdate {
  readonly type: "state";
  /** Null: there is none any more. */
  readonly state: State | null;
}

/** What the subscription gets now: the lower of its own rung and the connection's ceiling. */
export interface RungUpdate {
  readonly type: "rung";
  /** What it is now. */
  readonly rung: Rung;
  /** On a climb, the reason that ended. */
  readonly why: Why;
}

/** Continuity is broken: a new ledger starts at `since`. */
export interface ResetUpdate {
  readonly type: "reset";
  /** Where the new ledger starts. */
  readonly since: Position;
  /** The ledger that ended. */
  readonly closed: LedgerView | null;
}

/** The gateway's link to the broker. While it is down nothing new comes. */
export interface UpstreamUpdate {
  readonly type: "upstream";
  /** Whether the gateway hears the broker. */
  readonly status: "up" | "down";
  /** Milliseconds since 1970 by the gateway's clock; null where a `subscribed` said it. */
  readonly since: number | null;
}

/** What programs that know nothing of Tally published; outside the ledger. */
export interface UnnumberedUpdate {
  readonly type: "unnumbered";
  /** As they were published. */
  readonly events: readonly unknown[];
  /** How many more there were since the last such update. */
  readonly dropped: number;
}

/** Something was refused. */
export interface ErrorUpdate {
  readonly type: "error";
  /** A stable word of the wire page. */
  readonly code: string;
  /** What to do. */
  readonly message: string;
}

/** A frame broke a law. It was not booked; the channel is subscribed afresh. */
export interface ViolationUpdate {
  readonly type: "violation";
  /** What was wrong. */
  readonly violation: Violation;
  /** The ledger as it stood before the frame. */
  readonly closed: LedgerView | null;
}

/** The page is too slow (`rung` is what the SDK asked for), or it is not any more (`full`). */
export interface OverloadUpdate {
  readonly type: "overload";
  /** What the SDK asks for now. */
  readonly rung: Rung;
}

/** The subscription is over. */
export interface UnsubscribedUpdate {
  readonly type: "unsubscribed";
  /** `asked`, or why it ended. */
  readonly code: string;
  /** The account as it ended. */
  readonly ledger: LedgerView | null;
}

/** Everything that a subscription tells. */
export type Update =
  | SubscribedUpdate
  | EventsUpdate
  | CountsUpdate
  | SummaryUpdate
  | SkippedUpdate
  | StateUpdate
  | RungUpdate
  | ResetUpdate
  | UpstreamUpdate
  | UnnumberedUpdate
  | ErrorUpdate
  | ViolationUpdate
  | OverloadUpdate
  | UnsubscribedUpdate;
