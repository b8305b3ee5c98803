//! Samples and details as gateways tell them, in the shapes of the wire, with figures that a test may change.

import type { Json } from "./scripted.js";

export const sampleOf = (gateway: string, at: number, more: Json = {}): Json => ({
  gateway,
  name: gateway.replace(/-[^-]*$/, ""),
  version: "0.1.0",
  started_at: at - 7_200_000,
  at,
  uptime_s: 7_200,
  listen: "127.0.0.1:8420",
  admin: "127.0.0.1:8421",
  state: "running",
  cpu_percent: 12.5,
  rss_bytes: 50_000_000,
  cores: 2,
  shards: [
    { connections: 60, subscriptions: 120, busy_percent: 8, events_per_s: 500, deliveries_per_s: 3_000 },
    { connections: 40, subscriptions: 80, busy_percent: 6, events_per_s: 400, deliveries_per_s: 2_000 },
  ],
  connections: 100,
  channels: 20,
  interest: 18,
  subscriptions: { full: 190, counts: 8, summary: 2, pending: 0 },
  connections_by_rung: { full: 90, counts: 8, summary: 2 },
  in: { records: 300, events: 900, bytes: 180_000 },
  out: { frames: 5_000, events: 14_000, bytes: 2_500_000, counted_events: 700, summarised_events: 90 },
  latency_ms: { n: 40, p50: 2, p90: 5, p99: 9, max: 14 },
  redis: {
    up: true,
    since: at - 7_000_000,
    reason: null,
    probe_ms: 0.62,
    reconnects_total: 0,
    lost_total: 0,
  },
  account: accountOf(),
  rung_changes_total: { "counts throttled": 12, "summary backpressure": 3 },
  refused_total: { bad_request: 2 },
  closed_total: { client: 40, silent: 1 },
  partial_writes: 3,
  evicted: 120,
  inbox_bytes: 4_096,
  log_bytes: 8_000_000,
  ...more,
});

export const accountOf = (more: Json = {}): Json => ({
  subscriptions: 500,
  advanced: 1_000_000,
  full: 940_000,
  counted: { throttled: 50_000, unheard: 4_000 },
  summarised: { backpressure: 6_000 },
  residual: 0,
  violations: 0,
  resets: 0,
  lost: 0,
  ...more,
});

export const channelOf = (channel: string, more: Json = {}): Json => ({
  channel,
  rate: 120,
  listeners: { full: 30, counts: 2, summary: 1 },
  in_bytes: 24_000,
  out_bytes: 720_000,
  full_events: 3_600,
  counted_events: 240,
  seq: 1_234_567,
  epoch: "e1",
  ...more,
});

export const connectionOf = (connection: string, now: number, more: Json = {}): Json => ({
  connection,
  addr: `10.0.0.7:${50_000 + connection.length}`,
  user_agent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
  since: now - 600_000,
  shard: 0,
  subscriptions: 3,
  rung: "full",
  why: null,
  rung_since: now - 600_000,
  lag_ms: 0,
  due_bytes: 0,
  out_bytes: 24_000,
  errors: 0,
  ...more,
});

export const detailOf = (gateway: string, at: number, more: Json = {}): Json => ({
  gateway,
  at,
  channels_n: 20,
  channels: [channelOf("job:1", { rate: 400 }), channelOf("job:2"), channelOf("deploy:eu", { rate: 3 })],
  unheard_n: 2,
  unheard: [{ channel: "audit:raw", events: 200, bytes: 81_920 }],
  connections_n: 100,
  connections: [
    connectionOf("0-slow", at, { rung: "summary", why: "backpressure", lag_ms: 4_200, due_bytes: 2_600_000 }),
    connectionOf("1-fine", at),
  ],
  ...more,
});
