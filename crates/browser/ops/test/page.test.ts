//! The page's model against a scripted gateway: what it hears, asks and orders, and that it stays bounded.

import { afterEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { CHANGES_MAX, GATEWAYS_MAX } from "../src/bounds.js";
import { Page } from "../src/page.js";
import { readChannelAnswer } from "../src/shape/answer.js";
import { type Json, ScriptedGateway } from "./scripted.js";
import { accountOf, connectionOf, detailOf, sampleOf } from "./told.js";

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const gatewayOf = async (): Promise<ScriptedGateway> => {
  const gateway = await ScriptedGateway.start();
  ends.push(() => gateway.stop());
  return gateway;
};

const open = (gateway: ScriptedGateway): Page => {
  const page = new Page(gateway.url, {
    webSocket: WebSocket as never,
    reconnect: { baseMs: 10, capMs: 20 },
  });
  ends.push(() => page.close());
  return page;
};

/** Waits until it holds; the test's own time limit is the end of it. */
const until = <T>(what: () => T): Promise<T> =>
  vi.waitFor(
    () => {
      const value = what();
      if (!value) throw new Error(`not yet: ${what}`);
      return value;
    },
    { timeout: 8_000, interval: 10 },
  );

const listens = (gateway: ScriptedGateway, channel = "$gateways") =>
  until(() => gateway.heard.includes(channel));

const history = (gateway: string, step: number, at: number[], n = 7): Json => ({
  gateway,
  ok: true,
  step,
  part: 1,
  parts: 1,
  gateways: { "b-1": { name: "b", at, series: { connections: at.map(() => n) } } },
});

describe("what the page hears", () => {
  it("is every gateway's sample, and the details of those that speak", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    expect(page.deaf.value === null || page.deaf.value.is === "connecting").toBe(true);
    for (const id of ["a-1", "b-1"]) gateway.say("$gateways", "sample", sampleOf(id, Date.now()));
    await until(() => page.samples.value.length === 2);
    await listens(gateway, "$gateway:b-1");
    gateway.say("$gateway:b-1", "detail", detailOf("b-1", Date.now()));
    await until(() => page.connections.value.length === 2);
    expect(page.connections.value[0]).toMatchObject({
      connection: "0-slow",
      gateway: "b-1",
      rung: "summary",
      why: "backpressure",
    });
    expect(page.channels.value.map((it) => it.channel)).toContain("job:1");
    expect(page.unheard.value[0]?.channel).toBe("audit:raw");
  });

  it("leaves a gateway's details when that is gone, and its account stays", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    gateway.say("$gateways", "sample", sampleOf("a-1", Date.now(), { state: "draining" }));
    await listens(gateway, "$gateway:a-1");
    gateway.say("$gateways", "leaving", { gateway: "a-1" });
    await until(() => page.gateway("a-1")?.isLeaving);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 6_000 });
    ends.push(() => vi.useRealTimers());
    page.tick();
    expect(page.listed.value.map((it) => it.presence)).toEqual(["gone"]);
    expect(page.samples.value).toEqual([]);
    await until(() => !gateway.heard.includes("$gateway:a-1"));
  });

  it("is said to be refused where the port does not allow it", async () => {
    const gateway = await gatewayOf();
    gateway.isPublic = true;
    const page = open(gateway);
    await until(() => page.deaf.value?.is === "refused");
    expect(page.deaf.value).toMatchObject({ reason: expect.stringContaining("admin port") });
  });

  it("tells when a sample cannot be read, and goes on", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    gateway.say("$gateways", "sample", { nothing: true });
    gateway.say("$gateways", "sample", sampleOf("a-1", Date.now()));
    await until(() => page.samples.value.length === 1);
    expect(page.trouble.value).toContain("could not be read");
  });
});

describe("a page that was deaf", () => {
  it("calls nobody silent for it, says so, and asks for what it missed", async () => {
    const gateway = await gatewayOf();
    const step10 = () => gateway.asked.filter((ask) => ask.what === "history" && ask.step === 10).length;
    const page = open(gateway);
    await until(() => step10() === 1);
    gateway.say("$gateways", "sample", sampleOf("a-1", Date.now()));
    await until(() => page.samples.value.length === 1);
    gateway.tell({ type: "upstream", status: "down", since: Date.now(), channels: null });
    await until(() => page.deaf.value?.is === "upstream");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 90_000 });
    ends.push(() => vi.useRealTimers());
    page.tick();
    expect(page.listed.value.map((it) => it.presence)).toEqual(["running"]);
    gateway.tell({ type: "upstream", status: "up", since: Date.now(), channels: null });
    await until(() => page.deaf.value === null);
    page.tick();
    expect(page.listed.value.map((it) => it.presence)).toEqual(["running"]);
    vi.setSystemTime(Date.now() + 61_000);
    page.tick();
    expect(page.listed.value.map((it) => it.presence)).toEqual(["gone"]);
  });

  it("connects again by itself, and loads the history anew", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    const histories = () =>
      new Set(gateway.asked.filter(({ what }) => what === "history").map(({ ask }) => ask)).size;
    await until(() => page.deaf.value === null && histories() >= 2);
    const before = histories();
    gateway.cut();
    await until(() => page.deaf.value === null && histories() >= before + 2);
  });
});

describe("an outage that the page did not hear of", () => {
  it("is told when the gateways know the whole of its step", async () => {
    const gateway = await gatewayOf();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
    ends.push(() => vi.useRealTimers());
    const now = Math.floor(Date.now() / 10_000) * 10;
    let ups = [1, 1];
    gateway.onAsk = ({ what, step }) => {
      const at = ups.map((_, i) => now - (4 - i) * Number(step));
      const series = { up: ups, connections: ups };
      const gateways = { "a-1": { name: "a", at, series } };
      return what === "history" ? [{ gateway: "a-1", ok: true, step, gateways }] : [];
    };
    const page = open(gateway);
    await until(() => page.histories.value.get(10) === "loaded");
    ups = [1, 1, 0, 1];
    await vi.advanceTimersByTimeAsync(15_000);
    await until(() => page.gateway("a-1")?.series.ring(10).newest === now / 10 - 1);
    for (let n = 0; n < 5; n++) page.tick();
    await until(() => page.changes.value.some(({ what }) => what === "redis up"));
    expect(page.changes.value.map(({ what }) => what)).toContain("redis down");
  });
});

describe("the history", () => {
  it("of a gateway that is gone is there, from who remembers", async () => {
    const gateway = await gatewayOf();
    const now = Math.floor(Date.now() / 1000);
    gateway.onAsk = (order) => {
      const step = Number(order.step);
      const at = [3, 2, 1].map((n) => (Math.floor((now - 600) / step) - n) * step);
      return order.what === "history" ? [history("a-1", step, at)] : [];
    };
    const page = open(gateway);
    await until(() => page.histories.value.get(10) === "loaded" && page.histories.value.get(1) === "loaded");
    expect(page.listed.value.map((it) => [it.gateway.name, it.presence])).toEqual([["b", "gone"]]);
    expect(page.changes.value).toBeDefined();
    page.go({ range: "6h" });
    await until(() => page.histories.value.get(60) === "loaded");
    const [order] = gateway.asked.filter((ask) => ask.step === 60);
    expect(order).toMatchObject({ gateway: null, what: "history", step: 60 });
    expect(Number(order?.to_ms) - Number(order?.from_ms)).toBe(21_600_000);
  });

  it("that comes in parts is whole only with the last one, in any order", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    const now = Math.floor(Date.now() / 10_000) * 10;
    gateway.onAsk = (order) =>
      [2, 1].map((part) => ({
        ...history("a-1", Number(order.step), [now - part * 10]),
        part,
        parts: 2,
      }));
    await until(() => page.histories.value.get(10) === "loaded");
    const ring = page.gateway("b-1")?.series.ring(10);
    expect([ring?.oldest, ring?.newest]).toEqual([now / 10 - 2, now / 10 - 1]);
  });

  it("that is refused is said, with the gateway's words", async () => {
    const gateway = await gatewayOf();
    gateway.refusal = { status: 503, message: "the broker is away; ask again later" };
    const page = open(gateway);
    await until(() => typeof page.histories.value.get(1) === "object");
    expect(page.histories.value.get(1)).toEqual({ failed: "the broker is away; ask again later" });
  });
});

describe("asks and orders", () => {
  it("wait for all gateways that speak", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    for (const id of ["a-1", "b-1"]) gateway.say("$gateways", "sample", sampleOf(id, Date.now()));
    await until(() => page.samples.value.length === 2);
    gateway.onAsk = ({ what }) =>
      what === "channel"
        ? ["b-1", "a-1"].map((id) => ({ gateway: id, ok: true, channels: [{ channel: `job:${id}` }] }))
        : [];
    const answers = await page.ask({ what: "channel", prefix: "job:", limit: 50 }, null);
    const names = [...answers.values()].flatMap(([it]) =>
      it ? readChannelAnswer(it).channels.map((c) => c.channel) : [],
    );
    expect(names.sort()).toEqual(["job:a-1", "job:b-1"]);
    const order = gateway.asked.find(({ what }) => what === "channel");
    await until(() => !gateway.heard.includes(`$answers:${order?.ask}`));
  });

  it("are carried out only when they are confirmed, and how it went is said", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    gateway.say("$gateways", "sample", sampleOf("a-1", Date.now()));
    await until(() => page.samples.value.length === 1);
    const orders = () => gateway.asked.filter((ask) => ask.what === "disconnect");
    const confirming = {
      order: { what: "disconnect", connection: "0-7" },
      gateway: "a-1",
      title: "",
      text: "",
      verb: "",
      done: "it was disconnected",
    };
    page.confirming.value = confirming;
    expect(orders()).toEqual([]);
    gateway.onAsk = () => [{ gateway: "a-1", ok: true }];
    await page.carryOut(confirming);
    expect(orders()).toMatchObject([{ gateway: "a-1", what: "disconnect", connection: "0-7" }]);
    expect(page.confirming.value).toBeNull();
    gateway.onAsk = () => [{ gateway: "a-1", ok: false, error: "this gateway has no such connection" }];
    await page.carryOut(confirming);
    expect(page.notices.value.map(({ good, text }) => [good, text])).toEqual([
      [true, "it was disconnected"],
      [false, "this gateway has no such connection"],
    ]);
  });

  it("draw an id that the gateway takes", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await until(() => gateway.asked.length >= 2);
    for (const { ask } of gateway.asked) expect(ask).toMatch(/^[a-z0-9]{1,32}$/);
    expect(new Set(gateway.asked.map(({ ask }) => ask)).size).toBe(gateway.asked.length);
    expect(page.deaf.value).toBeNull();
  });
});

describe("a page that is open for hours", () => {
  it("holds no more than its bounds, however many gateways come and go", async () => {
    const gateway = await gatewayOf();
    const page = open(gateway);
    await listens(gateway);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    ends.push(() => vi.useRealTimers());
    const generations = 120;
    for (let n = 0; n < generations; n++) {
      for (let second = 0; second < 30; second++) {
        vi.setSystemTime(Date.now() + 1_000);
        const account = accountOf({ resets: second });
        gateway.say("$gateways", "sample", sampleOf(`a-${n}`, Date.now(), { account }));
      }
      const id = `a-${n}`;
      await until(() => page.gateway(id)?.sample?.account.resets === 29);
      const connections = Array.from({ length: 80 }, (_, i) => connectionOf(`0-${i}`, Date.now()));
      page.tick();
      await listens(gateway, `$gateway:${id}`);
      gateway.say(`$gateway:${id}`, "detail", detailOf(id, Date.now(), { connections }));
      await until(() => page.details.value.some((it) => it.gateway === id));
      page.notice(true, `${n}`);
      page.tick();
    }
    expect(page.gateways.value.length).toBeLessThanOrEqual(GATEWAYS_MAX);
    expect(page.changes.value.length).toBeLessThanOrEqual(CHANGES_MAX);
    expect(page.details.value.length).toBeLessThanOrEqual(2);
    expect(Math.max(...page.details.value.map((it) => it.connections.length))).toBe(50);
    expect(page.notices.value).toHaveLength(3);
    // Those that are gone are not listened to any more.
    await until(() => gateway.heard.filter((channel) => channel.startsWith("$gateway:")).length <= 3);
  }, 60_000);
});

describe("what a broker loses when it restarts", () => {
  it("is asked for again if it is a question, and never if it is an order", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    ends.push(() => vi.useRealTimers());
    const gateway = await gatewayOf();
    const page = open(gateway);
    const asked = (what: string) => gateway.asked.filter((ask) => ask.what === what);
    await listens(gateway);
    gateway.say("$gateways", "sample", sampleOf("a-1", Date.now()));
    await until(() => page.gateway("a-1"));
    page.tick();
    const answer = page.ask({ what: "connection", connection: "0-7" }, "a-1");
    const done = page.ask({ what: "disconnect", connection: "0-7" }, "a-1");
    await until(() => asked("connection").length === 1 && asked("disconnect").length === 1);
    gateway.onAsk = ({ what }) => (what === "connection" ? [{ gateway: "a-1", ok: true }] : []);
    vi.advanceTimersByTime(3_000);
    expect([...(await answer).keys()]).toEqual(["a-1"]);
    expect(asked("connection").map((ask) => ask.ask)).toEqual(Array(2).fill(asked("connection")[0]?.ask));
    vi.advanceTimersByTime(9_000);
    const order = asked("disconnect")[0]?.ask;
    gateway.say(`$answers:${order}`, "answer", { ask: order, gateway: "a-1", ok: true });
    await done;
    expect(asked("disconnect")).toHaveLength(1);
  });
});
