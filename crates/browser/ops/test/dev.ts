//! Shows the built page before a scripted fleet: `npm run build && npx tsx test/dev.ts [port]`. For looking, not a test.

import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Json, ScriptedGateway } from "./scripted.js";
import { channelOf, connectionOf, detailOf, sampleOf } from "./told.js";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const NAMES = ["tally-a-x81kq0", "tally-b-0pm2c7", "tally-c-77fh1z"];

const gateway = await ScriptedGateway.start(Number(process.argv[2] ?? 8431));
gateway.serve = (request, response) => {
  const path = (request.url ?? "").split("?")[0]?.replace(/^\/ops\/?/, "") || "index.html";
  response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
  response.end(readFileSync(join(dist, path)));
};

const wave = (t: number, n: number) => 1 + 0.25 * Math.sin(t / 37 + n) + 0.08 * Math.sin(t / 5 + 2 * n);
const figures = (t: number, n: number): Json => ({
  in: { records: 300, events: Math.round(900 * wave(t, n)), bytes: Math.round(180_000 * wave(t, n)) },
  out: {
    frames: Math.round(5_000 * wave(t, n)),
    events: Math.round(14_000 * wave(t, n)),
    bytes: Math.round(2_500_000 * wave(t, n)),
    counted_events: 700,
    summarised_events: 90,
  },
  latency_ms: { n: 40, p50: 2, p90: 5, p99: Math.round(9 * wave(t * 3, n)), max: 30 },
});

const history = (order: Json): Json[] => {
  const step = Number(order.step);
  const now = Math.floor(Date.now() / 1000);
  const at = Array.from(
    { length: step === 1 ? 300 : 360 },
    (_, i) => (Math.floor(now / step) - i) * step,
  ).reverse();
  return NAMES.map((id, n) => {
    const of = (read: (t: number) => number) => at.map(read);
    const series = {
      connections: of(() => 100),
      events_in: of((t) => 900 * wave(t, n)),
      deliveries: of((t) => 5_000 * wave(t, n)),
      out_bytes: of((t) => 2_500_000 * wave(t, n)),
      rung_full: of((t) => (n === 1 && t > now - 1_500 && t < now - 900 ? 60 : 90)),
      rung_counts: of((t) => (n === 1 && t > now - 1_500 && t < now - 900 ? 30 : 8)),
      rung_summary: of((t) => (n === 1 && t > now - 1_500 && t < now - 900 ? 10 : 2)),
      p50: of(() => 2),
      p99: of((t) => 9 * wave(t * 3, n)),
      probe_ms: of((t) => 0.6 * wave(t, n)),
      up: of((t) => Number(!(t > now - 2_100 && t < now - 2_040))),
      cpu: of((t) => 12 * wave(t, n)),
      rss: of(() => 50_000_000),
      lost: of(() => 0),
    };
    return {
      gateway: NAMES[0],
      ok: true,
      step,
      part: n + 1,
      parts: NAMES.length,
      gateways: { [id]: { name: id.slice(0, -7), at, series } },
    };
  });
};

gateway.onAsk = (order) => {
  if (order.what === "history") return history(order);
  const ids = order.gateway === null ? NAMES : [String(order.gateway)];
  if (order.what === "channel") {
    const name = String(order.channel ?? `${order.prefix}1`);
    const now = Math.floor(Date.now() / 1000);
    const points = Array.from({ length: 240 }, (_, i) => [now - 239 + i, 120 * wave(i, 0), 30, 2, 1]);
    return ids.map((id) => ({ gateway: id, ok: true, channels: [channelOf(name)], history: points }));
  }
  if (order.what === "connection") {
    const now = Date.now();
    const listens = ["job:1", "job:2", "deploy:eu"].map((channel) => ({
      channel,
      rung: "summary",
      why: "backpressure",
      asked: "full",
      max_rate: 200,
      tick_ms: 250,
      cursor: 12_345,
      behind: 420,
      throttled: false,
    }));
    const moves = [
      [now - 90_000, "counts", "throttled"],
      [now - 60_000, "full", "throttled"],
      [now - 12_000, "summary", "backpressure"],
    ];
    const it = connectionOf(String(order.connection), now, {
      rung: "summary",
      why: "backpressure",
      lag_ms: 4_200,
    });
    return ids.map((id) => ({
      gateway: id,
      ok: true,
      connection: { ...it, subscriptions: listens, history: moves },
    }));
  }
  return ids.map((id) => ({ gateway: id, ok: true }));
};

setInterval(() => {
  const now = Date.now();
  for (const [n, id] of NAMES.entries()) {
    gateway.say("$gateways", "sample", sampleOf(id, now, figures(now / 1000, n)));
    if (Math.floor(now / 1000) % 2 === 0) gateway.say(`$gateway:${id}`, "detail", detailOf(id, now));
  }
}, 1_000);
process.stdout.write(`${gateway.url}/ops\n`);
