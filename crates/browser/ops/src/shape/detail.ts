//! What a gateway says every 2 s while somebody listens, on `$gateway:<id>`: hot channels, slow connections.

import { each, isObject, number, object, text, textOrNull } from "./json.js";
import { type ByRung, readByRung } from "./sample.js";

export type Rung = "full" | "counts" | "summary";

/** One channel as one gateway sees it; rates are per second. */
export interface ChannelDetail {
  readonly channel: string;
  readonly rate: number;
  readonly listeners: ByRung;
  readonly in_bytes: number;
  readonly out_bytes: number;
  readonly full_events: number;
  readonly counted_events: number;
  readonly seq: number;
  readonly epoch: string | null;
}

/** A channel that cost publishes although nobody listened. */
export interface Unheard {
  readonly channel: string;
  readonly events: number;
  readonly bytes: number;
}

export interface ConnectionDetail {
  readonly connection: string;
  readonly addr: string;
  readonly user_agent: string | null;
  readonly since: number;
  readonly shard: number;
  readonly subscriptions: number;
  readonly rung: Rung;
  readonly why: string | null;
  readonly rung_since: number;
  readonly lag_ms: number;
  readonly due_bytes: number;
  readonly out_bytes: number;
  readonly errors: number;
}

export interface Detail {
  readonly gateway: string;
  readonly at: number;
  readonly channels_n: number;
  readonly channels: readonly ChannelDetail[];
  readonly unheard_n: number;
  readonly unheard: readonly Unheard[];
  readonly connections_n: number;
  readonly connections: readonly ConnectionDetail[];
}

/** What a gateway may name of each; more are not read. */
export const NAMED_MAX = 50;

export const readDetail = (value: unknown): Detail | null => {
  if (!isObject(value) || text(value.gateway) === "") return null;
  return {
    gateway: text(value.gateway),
    at: number(value.at),
    channels_n: number(value.channels_n),
    channels: each(value.channels, NAMED_MAX, readChannel),
    unheard_n: number(value.unheard_n),
    unheard: each(value.unheard, NAMED_MAX, readUnheard),
    connections_n: number(value.connections_n),
    connections: each(value.connections, NAMED_MAX, readConnection),
  };
};

export const readChannel = (value: unknown): ChannelDetail | null => {
  const it = object(value);
  const channel = text(it.channel);
  if (channel === "") return null;
  return {
    channel,
    rate: number(it.rate),
    listeners: readByRung(it.listeners),
    in_bytes: number(it.in_bytes),
    out_bytes: number(it.out_bytes),
    full_events: number(it.full_events),
    counted_events: number(it.counted_events),
    seq: number(it.seq),
    epoch: textOrNull(it.epoch),
  };
};

const readUnheard = (value: unknown): Unheard | null => {
  const it = object(value);
  const channel = text(it.channel);
  if (channel === "") return null;
  return { channel, events: number(it.events), bytes: number(it.bytes) };
};

export const readRung = (value: unknown): Rung =>
  value === "counts" || value === "summary" ? value : "full";

export const readConnection = (value: unknown): ConnectionDetail | null => {
  const it = object(value);
  const connection = text(it.connection);
  if (connection === "") return null;
  return {
    connection,
    addr: text(it.addr),
    user_agent: textOrNull(it.user_agent),
    since: number(it.since),
    shard: number(it.shard),
    subscriptions: number(it.subscriptions),
    rung: readRung(it.rung),
    why: textOrNull(it.why),
    rung_since: number(it.rung_since),
    lag_ms: number(it.lag_ms),
    due_bytes: number(it.due_bytes),
    out_bytes: number(it.out_bytes),
    errors: number(it.errors),
  };
};
