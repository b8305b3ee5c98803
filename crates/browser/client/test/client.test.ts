//! The client before a scripted gateway, on real sockets.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import {
  Client,
  type ClientOptions,
  type ClientState,
  type Subscription,
  type Update,
} from "../src/index.js";
import { at, type Connection, counts, events, resumed, Server } from "./server.js";

let server: Server;
let clients: Client[];
beforeEach(async () => {
  server = await Server.start();
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await server.stop();
});

const connect = (options: ClientOptions = {}): Client => {
  const reconnect = { baseMs: 1, capMs: 20 };
  const client = new Client(server.url, { webSocket: WebSocket, reconnect, ...options });
  clients.push(client);
  return client;
};

/** The next update of this type. */
const next = <T extends Update["type"]>(
  subscription: Subscription,
  type: T,
): Promise<Extract<Update, { type: T }>> =>
  new Promise((resolve) => {
    const off = subscription.on(type, (update) => {
      off();
      resolve(update as unknown as Extract<Update, { type: T }>);
    });
  });

const nextState = (client: Client, status: ClientState["status"]): Promise<ClientState> =>
  new Promise((resolve) => {
    const off = client.on("state", (state) => {
      if (state.status !== status) return;
      off();
      resolve(state);
    });
  });

/** A client that is attached to `job:1` with six ok. */
const attached = async (
  options?: ClientOptions,
): Promise<{ client: Client; job: Subscription; gateway: Connection }> => {
  const client = connect(options);
  const job = client.subscribe("job:1");
  const gateway = await server.greet();
  const { id } = await gateway.receive();
  gateway.send(at(id, "job:1", { ok: 6 }));
  await job.ready;
  return { client, job, gateway };
};

describe("subscribing", () => {
  it("merges what one tick wants into one frame, and one channel into one subscription", async () => {
    const client = connect();
    const a = client.subscribe("job:1", { rung: "counts", tickMs: 1000, last: 10 });
    const b = client.subscribe("job:1", { maxRate: 500, tail: true, last: 5 });
    const gone = client.subscribe("job:2");
    client.subscribe("jobs", { rung: "summary" });
    gone.unsubscribe();
    const gateway = await server.greet();
    const frame = await gateway.receive();
    expect(frame).toEqual({
      type: "subscribe",
      id: 1,
      channels: [
        { channel: "job:1", rung: "full", tick_ms: 250, max_rate: 500, tail: true, last: 10 },
        { channel: "jobs", rung: "summary", tick_ms: 250 },
      ],
    });
    gateway.send(at(1, "job:1", { ok: 6 }));
    expect(await a.ready).toBe(a);
    expect(await b.ready).toBe(b);
    expect([...a.totals]).toEqual([["ok", 6]]);
    expect(a.ledger).toBe(b.ledger);
    await expect(gone.ready).rejects.toThrow("asked");
    // The first that lets go is not heard by the gateway; the second is.
    b.unsubscribe();
    const narrowed = await gateway.receive();
    expect(narrowed).toEqual({
      type: "rung",
      channel: "job:1",
      rung: "counts",
      tick_ms: 1000,
      max_rate: 200,
    });
    a.unsubscribe();
    expect(await gateway.receive()).toEqual({ type: "unsubscribe", id: 2, channels: ["job:1"] });
    expect(gateway.unread).toEqual([]);
    expect(a.isOver).toBe(true);
    expect([...a.totals]).toEqual([["ok", 6]]);
  });

  it("keeps the subscription when one component goes and another comes in the same tick", async () => {
    const { client, job, gateway } = await attached();
    job.unsubscribe();
    const again = client.subscribe("job:1");
    await again.ready;
    expect(again.cursor).toBe(6);
    gateway.send(events("job:1", 7, "ok"));
    await next(again, "events");
    expect(again.cursor).toBe(7);
    expect(gateway.unread).toEqual([]);
  });

  it("gives a component that comes later the channel as it stands", async () => {
    const { client, gateway } = await attached();
    gateway.send(events("job:1", 7, "ok", "failed"));
    const late = client.subscribe("job:1");
    const told = next(late, "subscribed");
    const first = next(late, "events");
    expect(await late.ready).toBe(late);
    expect((await told).continuity).toBe("new");
    expect((await first).from).toBe(7);
    expect(late.since?.seq).toBe(6);
  });

  it("subscribes again a channel that is being left", async () => {
    const { client, job, gateway } = await attached();
    job.unsubscribe();
    expect((await gateway.receive()).type).toBe("unsubscribe");
    const again = client.subscribe("job:1");
    // A frame that was on its way is booked before the end.
    gateway.send(events("job:1", 7, "ok"));
    gateway.send({
      type: "unsubscribed",
      id: 2,
      channel: "job:1",
      code: "asked",
      epoch: "e1",
      seq: 7,
      totals: { ok: 7 },
    });
    const { id, channels } = await gateway.receive();
    expect(channels[0].after).toBeUndefined();
    gateway.send(at(id, "job:1", { ok: 9 }));
    await again.ready;
    expect(again.since?.seq).toBe(9);
    expect(client.violations).toBe(0);
  });

  it("asks for a tail later without losing the ledger", async () => {
    const { client, job, gateway } = await attached();
    client.subscribe("job:1", { tail: true });
    expect((await gateway.receive()).type).toBe("unsubscribe");
    gateway.send({
      type: "unsubscribed",
      id: 2,
      channel: "job:1",
      code: "asked",
      epoch: "e1",
      seq: 6,
      totals: { ok: 6 },
    });
    const { id, channels } = await gateway.receive();
    expect(channels).toEqual([
      { channel: "job:1", rung: "full", tick_ms: 250, tail: true, after: { epoch: "e1", seq: 6 } },
    ]);
    gateway.send(resumed(id, "job:1", 6), events("job:1", 7, "ok"));
    await next(job, "events");
    expect(job.since?.seq).toBe(6);
    expect(job.ledger?.closes()).toBe(true);
  });

  it("tells a refused subscribe", async () => {
    const client = connect();
    const job = client.subscribe("job:1");
    const gateway = await server.greet();
    const { id } = await gateway.receive();
    gateway.send({ type: "error", id, channel: "job:1", code: "unavailable", message: "come back later" });
    await expect(job.ready).rejects.toMatchObject({ code: "unavailable", channel: "job:1" });
    expect(job.isOver).toBe(true);
    expect(client.channels).toEqual([]);
  });

  it("refuses what the gateway would refuse, and says the rule", () => {
    const client = connect();
    expect(() => client.subscribe("a b")).toThrow(/channel "a b".*1 to 200/);
    expect(() => client.subscribe("a", { last: 1001 })).toThrow(/last.*0 to 1000/);
    expect(() => client.subscribe("a", { maxRate: 0 })).toThrow(/maxRate.*from 1/);
    expect(client.channels).toEqual([]);
    expect(() => new Client("ftp://x", { webSocket: WebSocket })).toThrow(/http/);
    expect(() => new Client("", { webSocket: WebSocket })).toThrow(/URL/);
  });

  it("waits for a pending attach", async () => {
    const client = connect();
    const job = client.subscribe("job:1");
    const gateway = await server.greet();
    const { id } = await gateway.receive();
    const { epoch: _, seq: __, totals: ___, state: ____, ...pending } = at(id, "job:1", {});
    gateway.send({ ...pending, upstream: "pending" });
    await next(job, "subscribed");
    expect(job.isAttached).toBe(false);
    expect(job.upstream).toBe("pending");
    gateway.send(at(id, "job:1", { ok: 3 }));
    await job.ready;
    expect(job.cursor).toBe(3);
    expect(job.upstream).toBe("up");
  });
});

describe("the ledger", () => {
  it("closes over events, counts and summaries, and tells spans by kind", async () => {
    const { job, gateway } = await attached();
    const seen: Update[] = [];
    job.on("update", (update) => seen.push(update));
    const state = { seq: 12, kind: "done", at: 1, data: null };
    gateway.send(
      events("job:1", 7, "ok", "failed"),
      counts("job:1", { ok: 10, failed: 1 }),
      {
        type: "summary",
        why: "backpressure",
        channels: [{ channel: "job:1", epoch: "e1", seq: 12, totals: { ok: 10, failed: 1, done: 1 }, state }],
      },
      { type: "rung", channel: null, rung: "summary", why: "backpressure" },
      { type: "upstream", status: "down", since: 5, channels: null },
      { type: "unnumbered", channel: "job:1", events: [17], dropped: 2 },
    );
    await next(job, "unnumbered");
    const { ledger } = job;
    expect(ledger?.closes()).toBe(true);
    expect([...(ledger?.full ?? [])]).toEqual([
      ["ok", 1],
      ["failed", 1],
    ]);
    expect([...(ledger?.counted.get("throttled") ?? [])]).toEqual([["ok", 3]]);
    expect([...(ledger?.summarised.get("backpressure") ?? [])]).toEqual([["done", 1]]);
    expect(seen.map((one) => one.type)).toEqual([
      "events",
      "counts",
      "summary",
      "state",
      "rung",
      "upstream",
      "unnumbered",
    ]);
    expect(seen[1]).toMatchObject({ from: 9, to: 11, why: "throttled", counts: new Map([["ok", 3]]) });
    expect(job.state).toEqual(state);
    expect(job.rung).toBe("summary");
    expect(job.upstream).toBe("down");
    expect(job.rate).toBeGreaterThan(0);
  });

  it("leaves alone what it has handed over", async () => {
    const { job, gateway } = await attached();
    const told = next(job, "counts");
    const last = next(job, "events");
    gateway.send(counts("job:1", { ok: 8 }), events("job:1", 9, "ok"));
    const { totals } = await told;
    await last;
    expect([...totals]).toEqual([["ok", 8]]);
    expect([...job.totals]).toEqual([["ok", 9]]);
  });

  it("reports a violation, unsubscribes, and subscribes afresh", async () => {
    const { client, job, gateway } = await attached();
    const told = next(job, "violation");
    gateway.send(events("job:1", 9, "ok"));
    const { violation, closed } = await told;
    expect(violation).toMatchObject({ law: "order", channel: "job:1" });
    expect(closed?.cursor).toBe(6);
    expect(await gateway.receive()).toEqual({
      type: "violation",
      channel: "job:1",
      law: "order",
      detail: "events 9 to 9 came at cursor 6",
    });
    const { id } = await gateway.receive();
    // What is still on its way is not read.
    gateway.send(events("job:1", 10, "ok"));
    gateway.send({ type: "unsubscribed", id, channel: "job:1", code: "asked" });
    const afresh = await gateway.receive();
    expect(afresh.channels).toEqual([{ channel: "job:1", rung: "full", tick_ms: 250 }]);
    gateway.send(at(afresh.id, "job:1", { ok: 10 }));
    await next(job, "subscribed");
    expect(job.cursor).toBe(10);
    expect(job.violations).toBe(1);
    expect(client.violations).toBe(1);
  });

  it("refuses a number that is not exact, and comes back", async () => {
    const { client, gateway } = await attached();
    const lost = nextState(client, "connecting");
    gateway.socket.send(
      '{"type":"events","channel":"job:1","epoch":"e1","from":9007199254740993,"to":9007199254740993,"events":[]}',
    );
    expect((await lost).reason).toMatch(/cannot be read: from cannot be 9007199254740992/);
    const again = await server.greet();
    expect((await again.receive()).channels[0].after).toEqual({ epoch: "e1", seq: 6 });
  });

  it("does not take __proto__ for anything but a kind", async () => {
    const { job, gateway } = await attached();
    gateway.socket.send(
      '{"type":"counts","channel":"job:1","epoch":"e1","seq":8,"totals":{"ok":6,"__proto__":1,"constructor":1},"why":"asked"}',
    );
    await next(job, "counts");
    expect(job.totals.get("__proto__")).toBe(1);
    expect(job.totals.get("constructor")).toBe(1);
    expect(job.ledger?.closes()).toBe(true);
  });
});

describe("coming back", () => {
  it("resumes with cursor and totals, and goes on counting", async () => {
    const { client, job, gateway } = await attached();
    gateway.send(events("job:1", 7, "ok"));
    await next(job, "events");
    gateway.socket.terminate();
    const again = await server.greet();
    const { id, channels } = await again.receive();
    expect(channels).toEqual([
      { channel: "job:1", rung: "full", tick_ms: 250, after: { epoch: "e1", seq: 7 } },
    ]);
    const told = next(job, "subscribed");
    const last = next(job, "events");
    again.send(
      resumed(id, "job:1", 7),
      counts("job:1", { ok: 9, failed: 2 }, { why: "replay" }),
      events("job:1", 12, "ok"),
    );
    expect((await told).continuity).toBe("resumed");
    await last;
    expect([...(job.ledger?.counted.get("replay") ?? [])].sort()).toEqual([
      ["failed", 2],
      ["ok", 2],
    ]);
    expect(job.since?.seq).toBe(6);
    expect(job.cursor).toBe(12);
    expect(job.ledger?.closes()).toBe(true);
    expect(client.violations).toBe(0);
    expect(client.state).toBe("connected");
  });

  it("closes the ledger where the gateway cannot go on", async () => {
    const { client, job, gateway } = await attached();
    gateway.goodbye("drain", 4000);
    const again = await server.greet();
    const { id } = await again.receive();
    const reset = { epoch: "e2", seq: 2, totals: { ok: 2 }, state: null };
    again.send(at(id, "job:1", { ok: 2 }, { epoch: "e2" }), { type: "reset", channel: "job:1", ...reset });
    const { closed, since } = await next(job, "reset");
    expect(closed?.cursor).toBe(6);
    expect(since.epoch).toBe("e2");
    expect(job.closed.map((one) => one.cursor)).toEqual([6]);
    expect(job.cursor).toBe(2);
    expect(client.violations).toBe(0);
  });

  it("takes other values in the reset for a violation", async () => {
    const { client, job, gateway } = await attached();
    gateway.socket.terminate();
    const again = await server.greet();
    const { id } = await again.receive();
    again.send(at(id, "job:1", { ok: 2 }, { epoch: "e2" }));
    again.send({ type: "reset", channel: "job:1", epoch: "e2", seq: 3, totals: { ok: 3 }, state: null });
    await next(job, "violation");
    expect(client.violations).toBe(1);
  });

  it("takes a frame between a refused resume and its reset for a violation", async () => {
    const { job, gateway } = await attached();
    gateway.socket.terminate();
    const again = await server.greet();
    const { id } = await again.receive();
    again.send(at(id, "job:1", { ok: 2 }, { epoch: "e2" }), events("job:1", 3, "ok"));
    const { violation } = await next(job, "violation");
    expect(violation).toMatchObject({ law: "order" });
  });

  it("says goodbye's code and words, and stays away where the code says so", async () => {
    const { client, job, gateway } = await attached();
    const waiting = client.subscribe("job:2");
    const state = nextState(client, "disconnected");
    gateway.goodbye("forbidden", 4403);
    expect(await state).toEqual({
      status: "disconnected",
      code: 4403,
      reason: "because of forbidden",
      retryInMs: null,
    });
    await expect(waiting.ready).rejects.toThrow("forbidden");
    expect(job.cursor).toBe(6);
    // The application changed something, and asks again.
    client.connect();
    const again = await server.greet();
    expect((await again.receive()).channels[0].after).toEqual({ epoch: "e1", seq: 6 });
  });

  it("goes back by as much as it can where the channel had no events", async () => {
    const client = connect();
    const job = client.subscribe("job:1");
    const gateway = await server.greet();
    gateway.send(at((await gateway.receive()).id, "job:1", {}));
    await job.ready;
    gateway.socket.terminate();
    const again = await server.greet();
    expect((await again.receive()).channels).toEqual([
      { channel: "job:1", rung: "full", tick_ms: 250, last: 1000 },
    ]);
  });

  it("does not come back after disconnect, and forgets no ledger", async () => {
    const { client, job, gateway } = await attached();
    client.disconnect();
    await gateway.closed;
    expect(client.detail).toMatchObject({ status: "disconnected", reason: "disconnect was called" });
    expect(job.cursor).toBe(6);
    expect(server.connections.length).toBe(1);
  });
});

describe("the connection", () => {
  it("brings the token first, asks for it on each attempt, and takes a new one", async () => {
    let asked = 0;
    const client = connect({ token: async () => `t${++asked}` });
    client.subscribe("job:1");
    const gateway = await server.greet();
    expect(await gateway.receive()).toEqual({ type: "auth", token: "t1" });
    expect((await gateway.receive()).type).toBe("subscribe");
    client.setToken("new");
    expect(await gateway.receive()).toEqual({ type: "auth", token: "new" });
    gateway.socket.terminate();
    const again = await server.greet();
    expect(await again.receive()).toEqual({ type: "auth", token: "t2" });
  });

  it("takes a token that fails for a failed attempt", async () => {
    let asked = 0;
    const token = () => (++asked === 1 ? Promise.reject(new Error("no login")) : "t2");
    const client = connect({ token });
    expect((await nextState(client, "connecting")).reason).toMatch("no login");
    const gateway = await server.greet();
    expect(await gateway.receive()).toEqual({ type: "auth", token: "t2" });
  });

  it("asks for a ceiling before the subscribes, and again on the next connection", async () => {
    const client = connect();
    client.setCeiling("summary");
    client.subscribe("job:1");
    for (let i = 0; i < 2; i++) {
      const gateway = await server.greet();
      expect(await gateway.receive()).toEqual({ type: "rung", channel: null, rung: "summary" });
      expect((await gateway.receive()).type).toBe("subscribe");
      gateway.socket.terminate();
    }
  });

  it("changes rung, rate and tick in one frame", async () => {
    const { job, gateway } = await attached();
    job.change({ rung: "counts" });
    job.change({ tickMs: 1000, maxRate: 30 });
    expect(await gateway.receive()).toEqual({
      type: "rung",
      channel: "job:1",
      rung: "counts",
      max_rate: 30,
      tick_ms: 1000,
    });
  });

  it("splits what does not fit into one frame", async () => {
    const client = connect();
    for (let i = 0; i < 1_001; i++) client.subscribe(`c${i}`);
    const gateway = await server.greet();
    const named = new Set<string>();
    let frames = 0;
    while (named.size < 1_001) {
      const frame = await gateway.receive();
      frames++;
      expect(frame.channels.length).toBeLessThanOrEqual(500);
      expect(JSON.stringify(frame).length).toBeLessThan(65_536);
      for (const { channel } of frame.channels) named.add(channel);
    }
    expect(frames).toBeGreaterThan(2);
    expect(gateway.unread).toEqual([]);
  });

  it("keeps handlers apart: one that throws ends nothing", async () => {
    const { job, gateway } = await attached();
    const errors: unknown[] = [];
    const before = console.error;
    console.error = (error) => errors.push(error);
    job.on("events", () => {
      throw new Error("the page's own");
    });
    gateway.send(events("job:1", 7, "ok"));
    await next(job, "update" as "events");
    console.error = before;
    expect(job.cursor).toBe(7);
    expect(errors).toHaveLength(1);
  });

  it("lets a handler disconnect in the middle of a frame", async () => {
    const { client, job, gateway } = await attached();
    client.on("violation", () => client.disconnect());
    gateway.send(events("job:1", 9, "ok"));
    await gateway.closed;
    // The report went out before the application was told.
    expect((await gateway.receive()).type).toBe("violation");
    client.connect();
    const again = await server.greet();
    expect((await again.receive()).channels[0].after).toBeUndefined();
    expect(job.isOver).toBe(false);
  });
});

describe("async iteration", () => {
  it("gives each update in order and ends with the subscription", async () => {
    const { client, job, gateway } = await attached();
    const types: string[] = [];
    const run = (async () => {
      for await (const update of job) types.push(update.type);
    })();
    gateway.send(events("job:1", 7, "ok"), counts("job:1", { ok: 8 }));
    gateway.send({ type: "unsubscribed", id: null, channel: "job:1", code: "forbidden" });
    await run;
    expect(types).toEqual(["events", "counts", "unsubscribed"]);
    expect(client.channels).toEqual([]);
  });

  it("skips what is not taken, keeps the sum, and asks for counts", async () => {
    const { job, gateway } = await attached();
    const iterator = job[Symbol.asyncIterator]();
    const kinds = Array.from({ length: 250 }, (_, i) => (i % 5 ? "ok" : "failed"));
    for (let i = 0; i < 20; i++) gateway.send(events("job:1", 7 + i * 250, ...kinds));
    expect(await gateway.receive()).toEqual({ type: "rung", channel: "job:1", rung: "counts" });
    let covered = 6;
    let skipped = 0;
    let overload = false;
    while (covered < 5_006) {
      const { value } = await iterator.next();
      if (value?.type === "overload") overload = true;
      if (value?.type !== "events" && value?.type !== "skipped") continue;
      expect(value.from).toBe(covered + 1);
      if (value.type === "skipped") {
        const { from, to, counts } = value;
        expect((counts.get("ok") ?? 0) + (counts.get("failed") ?? 0)).toBe(to - from + 1);
        skipped += to - from + 1;
      }
      covered = value.to;
    }
    expect(skipped).toBeGreaterThan(0);
    expect(overload).toBe(true);
    expect(job.cursor).toBe(5_006);
    expect(job.ledger?.full.get("ok")).toBe(4_000);
  });
});
