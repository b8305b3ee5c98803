//! What events cost the page's thread: reading frames, and all of the client. `npm run build` first.
//!
//! Figures are ms of one core for 1,000 events of 2 KB: what a second at 1,000 events/s costs.

import { Client } from "../dist/client.js";
import { decode } from "../dist/decode.js";
import { repeatedKey } from "../dist/keys.js";

const EVENTS = 1_000;
const ROUNDS = 60;

/** One round of `events` frames with this many events each, from this seq on. */
const frames = (perFrame, after) => {
  const text = 'a line of output with "quotes", a \\ and a tab\t'.repeat(40);
  const events = (from) =>
    Array.from({ length: perFrame }, (_, i) => ({
      kind: (from + i) % 20 ? "ok" : "changed",
      at: 1_700_000_000_000 + i,
      data: { host: `host-${i}`, seq: from + i, lines: { stdout: text, rc: 0 } },
    }));
  return Array.from({ length: EVENTS / perFrame }, (_, n) => {
    const from = after + n * perFrame + 1;
    const to = from + perFrame - 1;
    return JSON.stringify({ type: "events", channel: "job:42", epoch: "e", from, to, events: events(from) });
  });
};

/** Ms for each round; the first ones are warm-up. */
const time = (prepare, run) => {
  const took = [];
  for (let round = 0; round < ROUNDS; round++) {
    const texts = prepare(round);
    const start = performance.now();
    for (const text of texts) run(text);
    took.push(performance.now() - start);
  }
  const [median] = took
    .slice(ROUNDS / 3)
    .sort((a, b) => a - b)
    .slice(ROUNDS / 3);
  return median;
};

/** A client that is attached to `job:42`, and the way to give it a frame. */
const attached = async () => {
  let socket;
  class Wire {
    bufferedAmount = 0;
    constructor() {
      socket = this;
    }
    send() {}
    close() {}
  }
  const client = new Client("http://gateway", { webSocket: Wire, handOver: "now" });
  const job = client.subscribe("job:42");
  await new Promise((resolve) => setTimeout(resolve));
  const say = (frame) => socket.onmessage({ data: JSON.stringify(frame) });
  const limits = { frame_bytes: 65_536, subscriptions: 9, max_rate_default: 200, max_rate: 10_000, last: 9 };
  say({ type: "hello", protocol: "tally.v1", connection: "c", heartbeat_ms: 15_000, limits });
  const at = { epoch: "e", seq: 0, totals: {}, state: null, resumed: false, upstream: "up" };
  say({ type: "subscribed", id: 1, channel: "job:42", rung: "full", max_rate: 1_000, tick_ms: 250, ...at });
  let handed = 0;
  job.on("events", ({ events }) => {
    handed += events.length;
  });
  return { client, job, handed: () => handed, give: (data) => socket.onmessage({ data }) };
};

for (const perFrame of [1, 25]) {
  const same = frames(perFrame, 0);
  const parse = time(() => same, JSON.parse);
  const keys = time(
    () => same,
    (text) => repeatedKey(text, "data"),
  );
  const read = time(() => same, decode);
  const { client, job, handed, give } = await attached();
  const whole = time((round) => frames(perFrame, round * EVENTS), give);
  if (handed() !== ROUNDS * EVENTS || !job.ledger?.closes()) throw new Error("the ledger does not close");
  client.disconnect();
  const bytes = Math.round(same.join("").length / EVENTS);
  const figures = { "JSON.parse": parse, "repeated keys": keys, decode: read, client: whole };
  const said = Object.entries(figures).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`);
  process.stdout.write(`1,000 events of ${bytes} bytes, ${perFrame} a frame: ${said.join(", ")}\n`);
}
