//! Against a real gateway: the client's ledger is what `GET /v1/channels/…` says, whatever happened on the way.

import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Client, type Subscription, sharedClient } from "../src/index.js";
import { onStale } from "../src/stale.js";
import { Gateway } from "./gateway.js";

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.start();
});
afterAll(() => gateway.stop());

/** Sockets that a test can cut. */
const sockets: WebSocket[] = [];
class Cut extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    sockets.push(this);
  }
}

const reached = (subscription: Subscription, seq: number): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (subscription.cursor < seq) return;
      off();
      resolve();
    };
    const off = subscription.on("update", look);
    look();
  });

const expectAgreement = async (subscription: Subscription, seq: number): Promise<void> => {
  await reached(subscription, seq);
  const snapshot = await gateway.snapshot(subscription.channel);
  const { ledger } = subscription;
  expect(ledger?.cursor).toBe(snapshot.seq);
  expect(ledger?.epoch).toBe(snapshot.epoch);
  expect(Object.fromEntries(subscription.totals)).toEqual(snapshot.totals);
  expect(subscription.state).toEqual(snapshot.state);
  expect(ledger?.closes()).toBe(true);
};

it("counts exactly through throttle, a cut connection, a change of rung and a late start", async () => {
  const client = new Client(gateway.url, { webSocket: Cut, reconnect: { baseMs: 20, capMs: 200 } });
  const slow = client.subscribe("job:1", { maxRate: 200, tail: true });
  const early = client.subscribe("jobs:counts", { rung: "counts" });
  await Promise.all([slow.ready, early.ready]);
  const continuities: string[] = [];
  let isBack = (): void => undefined;
  const back = new Promise<void>((resolve) => (isBack = resolve));
  slow.on("subscribed", ({ continuity }) => {
    continuities.push(continuity);
    isBack();
  });
  let stale = 0;
  const endStale = onStale(slow, () => stale++, { spreadMs: 1, everyMs: 1 });

  const publish = async (channel: string, batches: number): Promise<number> => {
    let to = 0;
    for (let i = 0; i < batches; i++) {
      const events = Array.from({ length: 60 }, (_, n) => ({ kind: n % 9 ? "ok" : "changed", data: { n } }));
      to = await gateway.publish(channel, [...events, { kind: "progress", class: "state", data: { i } }]);
      if (channel === "job:1" && i === 10) {
        sockets.at(-1)?.terminate();
        slow.change({ maxRate: 300 });
        // What follows is more than the rate lets through; what came before would be a replay.
        await back;
      }
    }
    return to;
  };
  const [job, counts] = await Promise.all([publish("job:1", 40), publish("jobs:counts", 10)]);
  await expectAgreement(slow, job);
  await expectAgreement(early, counts);
  expect(continuities).toEqual(["resumed"]);
  expect(slow.ledger?.full.get("ok") ?? 0).toBeGreaterThan(0);
  expect([...(slow.ledger?.counted.keys() ?? [])]).toContain("throttled");
  expect(early.ledger?.full.size).toBe(0);

  const late = client.subscribe("job:1:late", { last: 5 });
  await late.ready;
  await expectAgreement(late, await gateway.publish("job:1:late", [{ kind: "ok" }]));
  expect(client.violations).toBe(0);
  expect(stale).toBeGreaterThan(0);
  endStale();
  client.disconnect();
});

it("goes back with last, and resumes from a cursor that is old", async () => {
  const many = (n: number) => gateway.publish("job:2", new Array(n).fill({ kind: "ok" }));
  // The gateway keeps a log of what somebody listens to.
  const holder = new Client(gateway.url, { webSocket: WebSocket });
  await holder.subscribe("job:2", { rung: "summary" }).ready;
  await many(50);
  const client = new Client(gateway.url, { webSocket: WebSocket });
  const job = client.subscribe("job:2", { last: 10 });
  const first = new Promise<number>((resolve) => job.on("events", ({ from }) => resolve(from)));
  expect(await first).toBeLessThanOrEqual(41);
  await expectAgreement(job, 50);
  client.disconnect();
  for (let i = 0; i < 30; i++) await many(100);
  client.connect();
  await expectAgreement(job, 3_050);
  // At most the newest thousand come in full; the ledger goes on from the first attach.
  expect(job.ledger?.counted.get("replay")?.get("ok")).toBeGreaterThanOrEqual(2_000);
  expect(client.violations).toBe(0);
  client.disconnect();
  holder.disconnect();
});

it("is refused where only an operator may listen", async () => {
  const client = sharedClient(gateway.url, { webSocket: WebSocket });
  expect(sharedClient(gateway.url)).toBe(client);
  const own = client.subscribe("$gateways");
  await expect(own.ready).rejects.toMatchObject({ code: "forbidden_channel" });
  client.disconnect();
});
