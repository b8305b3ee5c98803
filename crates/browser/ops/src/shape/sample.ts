//! What a gateway says about itself once a second, on `$gateways`.

import {
  each,
  isObject,
  type Json,
  number,
  numberOrNull,
  numbers,
  object,
  text,
  textOrNull,
} from "./json.js";

/** Connections, subscriptions or listeners, by rung. */
export interface ByRung {
  readonly full: number;
  readonly counts: number;
  readonly summary: number;
}

export interface Shard {
  readonly connections: number;
  readonly subscriptions: number;
  readonly busy_percent: number;
  readonly events_per_s: number;
  readonly deliveries_per_s: number;
}

/** The link to Redis; null in a sample: the backplane is embedded. */
export interface Redis {
  readonly up: boolean;
  readonly since: number;
  readonly reason: string | null;
  readonly probe_ms: number | null;
  readonly reconnects_total: number;
  readonly lost_total: number;
}

/** Totals since the gateway's start, over all subscriptions that are and were. */
export interface Account {
  readonly subscriptions: number;
  readonly advanced: number;
  readonly full: number;
  readonly counted: ReadonlyMap<string, number>;
  readonly summarised: ReadonlyMap<string, number>;
  readonly residual: number;
  readonly violations: number;
  readonly resets: number;
  readonly lost: number;
}

/** From publish to socket, of a sample of the last second's full deliveries. */
export interface Latency {
  readonly n: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Sample {
  readonly gateway: string;
  readonly name: string;
  readonly version: string;
  readonly started_at: number;
  readonly at: number;
  readonly uptime_s: number;
  readonly listen: string;
  readonly admin: string;
  readonly draining: boolean;
  readonly cpu_percent: number | null;
  readonly rss_bytes: number | null;
  readonly cores: number;
  readonly shards: readonly Shard[];
  readonly connections: number;
  readonly channels: number;
  readonly interest: number;
  readonly subscriptions: ByRung & { readonly pending: number };
  readonly connections_by_rung: ByRung;
  readonly in: { readonly records: number; readonly events: number; readonly bytes: number };
  readonly out: {
    readonly frames: number;
    readonly events: number;
    readonly bytes: number;
    readonly counted_events: number;
    readonly summarised_events: number;
  };
  readonly latency: Latency | null;
  readonly redis: Redis | null;
  readonly account: Account;
  readonly rung_changes_total: ReadonlyMap<string, number>;
  readonly refused_total: ReadonlyMap<string, number>;
  readonly closed_total: ReadonlyMap<string, number>;
  readonly partial_writes: number;
  readonly evicted: number;
  readonly inbox_bytes: number;
  readonly log_bytes: number;
}

/** Shards that a gateway may have; more are not read. */
const SHARDS_MAX = 256;

export const readByRung = (value: unknown): ByRung => {
  const it = object(value);
  return { full: number(it.full), counts: number(it.counts), summary: number(it.summary) };
};

/** Null where it is no sample: without a gateway or a time it could not be placed. */
export const readSample = (value: unknown): Sample | null => {
  if (!isObject(value)) return null;
  const gateway = text(value.gateway);
  const at = number(value.at);
  if (gateway === "" || at <= 0) return null;
  return {
    gateway,
    at,
    ...readSelf(value, gateway),
    shards: each(value.shards, SHARDS_MAX, readShard),
    connections: number(value.connections),
    channels: number(value.channels),
    interest: number(value.interest),
    subscriptions: {
      ...readByRung(value.subscriptions),
      pending: number(object(value.subscriptions).pending),
    },
    connections_by_rung: readByRung(value.connections_by_rung),
    in: readIn(object(value.in)),
    out: readOut(object(value.out)),
    latency: readLatency(value.latency_ms),
    redis: readRedis(value.redis),
    account: readAccount(object(value.account)),
    rung_changes_total: numbers(value.rung_changes_total),
    refused_total: numbers(value.refused_total),
    closed_total: numbers(value.closed_total),
    partial_writes: number(value.partial_writes),
    evicted: number(value.evicted),
    inbox_bytes: number(value.inbox_bytes),
    log_bytes: number(value.log_bytes),
  };
};

const readSelf = (it: Json, gateway: string) => ({
  name: text(it.name) || gateway,
  version: text(it.version),
  started_at: number(it.started_at),
  uptime_s: number(it.uptime_s),
  listen: text(it.listen),
  admin: text(it.admin),
  draining: it.state === "draining",
  cpu_percent: numberOrNull(it.cpu_percent),
  rss_bytes: numberOrNull(it.rss_bytes),
  cores: number(it.cores),
});

const readShard = (value: unknown): Shard | null => {
  if (!isObject(value)) return null;
  return {
    connections: number(value.connections),
    subscriptions: number(value.subscriptions),
    busy_percent: number(value.busy_percent),
    events_per_s: number(value.events_per_s),
    deliveries_per_s: number(value.deliveries_per_s),
  };
};

const readIn = (it: Json) => ({
  records: number(it.records),
  events: number(it.events),
  bytes: number(it.bytes),
});

const readOut = (it: Json) => ({
  frames: number(it.frames),
  events: number(it.events),
  bytes: number(it.bytes),
  counted_events: number(it.counted_events),
  summarised_events: number(it.summarised_events),
});

const readLatency = (value: unknown): Latency | null => {
  if (!isObject(value) || numberOrNull(value.p99) === null) return null;
  return {
    n: number(value.n),
    p50: number(value.p50),
    p90: number(value.p90),
    p99: number(value.p99),
    max: number(value.max),
  };
};

const readRedis = (value: unknown): Redis | null => {
  if (!isObject(value)) return null;
  return {
    up: value.up === true,
    since: number(value.since),
    reason: textOrNull(value.reason),
    probe_ms: numberOrNull(value.probe_ms),
    reconnects_total: number(value.reconnects_total),
    lost_total: number(value.lost_total),
  };
};

const readAccount = (it: Json): Account => ({
  subscriptions: number(it.subscriptions),
  advanced: number(it.advanced),
  full: number(it.full),
  counted: numbers(it.counted),
  summarised: numbers(it.summarised),
  residual: number(it.residual),
  violations: number(it.violations),
  resets: number(it.resets),
  lost: number(it.lost),
});
