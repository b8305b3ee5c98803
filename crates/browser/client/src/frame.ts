//! The frames of the wire as they are after reading: totals are Maps, optional fields are null where they were absent.

import type { Rung, TickMs, Why } from "./names.js";
import type { Totals } from "./totals.js";

/** One event. Its seq is that of its place in the frame. */
export interface TallyEvent {
  /** As tallied; `_other` where it was folded. */
  readonly kind: string;
  /** The kind as sent, where it was folded. */
  readonly sent_as?: string;
  /** `state`, or absent: bulk. */
  readonly class?: string;
  /** Milliseconds since 1970 by the producer's clock. It orders nothing. */
  readonly at: number;
  /** Any JSON value, as `JSON.parse` reads it. */
  readonly data: unknown;
}

/** An event that says its seq, as in a tail. */
export interface NumberedEvent extends TallyEvent {
  /** Its position in the channel. */
  readonly seq: number;
}

/** The newest event of class `state`. */
export interface State {
  /** Its position in the channel. */
  readonly seq: number;
  /** As tallied; `_other` where it was folded. */
  readonly kind: string;
  /** The kind as sent, where it was folded. */
  readonly sent_as?: string;
  /** Milliseconds since 1970 by the producer's clock. */
  readonly at: number;
  /** Any JSON value. */
  readonly data: unknown;
}

/** What a subscription is resumed from. */
export interface Cursor {
  /** Null where the channel has had no events. */
  readonly epoch: string | null;
  /** The seq up to which everything is accounted for. */
  readonly seq: number;
}

/** A place in a channel's numbering. */
export interface Position extends Cursor {
  /** How many events of each kind there were up to there. */
  readonly totals: Totals;
  /** The newest state event at or before it, if still known. */
  readonly state: State | null;
}

/** What the gateway says of itself: the first frame of a connection. */
export interface Hello {
  readonly type: "hello";
  /** Always `tally.v1`. */
  readonly protocol: string;
  /** Names the connection in the gateway's logs. */
  readonly connection: string;
  /** Something is sent at least this often, in ms. */
  readonly heartbeat_ms: number;
  /** What this gateway allows. */
  readonly limits: Limits;
}

/** What a client may ask for. */
export interface Limits {
  /** Of one message to the gateway, in bytes. */
  readonly frame_bytes: number;
  /** Of this connection. */
  readonly subscriptions: number;
  /** Events per second of a subscription that asks for no rate. */
  readonly max_rate_default: number;
  /** Events per second of all subscriptions together. */
  readonly max_rate: number;
  /** The most that `last` may ask for. */
  readonly last: number;
}

/** The answer to one channel of a `subscribe`. `attach` is null while it is not known yet. */
export type Subscribed = {
  readonly type: "subscribed";
  readonly id: number;
  readonly channel: string;
  readonly rung: Rung;
  readonly max_rate: number;
  readonly tick_ms: TickMs;
  readonly upstream: "up" | "down" | "pending";
} & (
  | { readonly resumed: true; readonly attach: Cursor | null }
  | { readonly resumed: false; readonly attach: Position | null }
);

export interface Unsubscribed {
  readonly type: "unsubscribed";
  readonly channel: string;
  readonly code: string;
}

export interface Events {
  readonly type: "events";
  readonly channel: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly events: readonly TallyEvent[];
}

/** A channel's totals as they are at `seq`, in place of the events since the cursor. */
export interface Reduced {
  readonly channel: string;
  readonly epoch: string;
  readonly seq: number;
  readonly totals: Totals;
  readonly state: State | null;
}

export interface Counts extends Reduced {
  readonly type: "counts";
  readonly why: Why;
  readonly tail: readonly NumberedEvent[] | null;
}

export interface Summary {
  readonly type: "summary";
  readonly why: Why;
  readonly channels: readonly Reduced[];
}

/** One channel of a `summary`, as a frame of its own. */
export interface Summarised extends Reduced {
  readonly type: "summary";
  readonly why: Why;
}

export interface RungFrame {
  readonly type: "rung";
  /** Null: the ceiling of the connection. */
  readonly channel: string | null;
  readonly rung: Rung;
  readonly why: Why;
}

export interface Reset extends Position {
  readonly type: "reset";
  readonly channel: string;
}

export interface Unnumbered {
  readonly type: "unnumbered";
  readonly channel: string;
  readonly events: readonly unknown[];
  readonly dropped: number;
}

/** The gateway's link to the broker. */
export interface Upstream {
  readonly type: "upstream";
  /** Whether the gateway hears the broker. */
  readonly status: "up" | "down";
  /** Milliseconds since 1970 by the gateway's clock. */
  readonly since: number;
  /** Null: all of them. */
  readonly channels: readonly string[] | null;
}

export interface Heartbeat {
  readonly type: "heartbeat";
}

/** The gateway refused something; nothing of it was done. */
export interface ErrorFrame {
  readonly type: "error";
  /** The request's, or null. */
  readonly id: number | null;
  /** The request's, or null. */
  readonly channel: string | null;
  /** A stable word of the wire page. */
  readonly code: string;
  /** What to do. */
  readonly message: string;
}

/** The gateway is about to close the connection. */
export interface Goodbye {
  readonly type: "goodbye";
  /** A close code by name. */
  readonly code: string;
  /** For people. */
  readonly reason: string;
  /** From the least to the most. */
  readonly retry_after_ms: readonly number[];
}

export type ServerFrame =
  | Hello
  | Subscribed
  | Unsubscribed
  | Events
  | Counts
  | Summary
  | RungFrame
  | Reset
  | Unnumbered
  | Upstream
  | Heartbeat
  | ErrorFrame
  | Goodbye;

/** One channel of a `subscribe` frame. */
export interface SubscribeChannel {
  channel: string;
  rung: Rung;
  max_rate?: number | undefined;
  tick_ms: TickMs;
  tail?: true | undefined;
  last?: number | undefined;
  after?: { epoch: string; seq: number } | undefined;
}

/** Every frame from the client, its fields in the order of the wire page. */
export type ClientFrame =
  | { type: "subscribe"; id: number; channels: SubscribeChannel[] }
  | { type: "unsubscribe"; id: number; channels: string[] }
  | { type: "rung"; channel: string | null; rung: Rung; max_rate?: number; tick_ms?: TickMs }
  | { type: "auth"; token: string }
  | { type: "violation"; channel: string; law: string; detail: string };
