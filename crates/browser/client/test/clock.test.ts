//! Time, without waiting for it: the session on a clock of the test's own, and the client on fake timers.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, type ClientState, type Subscription, type Update } from "../src/index.js";
import { Pace } from "../src/pace.js";
import { Rate } from "../src/rate.js";
import { pause, RECONNECT } from "../src/reconnect.js";
import { onStale } from "../src/stale.js";
import { at, events, type Frame, resumed } from "./server.js";

/** A socket that the test plays the gateway on, without a network: time is what is tested here. */
class Wire {
  static all: Wire[] = [];
  readonly sent: Frame[] = [];
  bufferedAmount = 0;
  isClosed = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror = null;

  constructor(readonly url: string) {
    Wire.all.push(this);
  }

  static get last(): Wire {
    const last = Wire.all.at(-1);
    if (!last) throw new Error("no attempt was made");
    return last;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.isClosed = true;
  }

  say(...frames: Frame[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  hello(): void {
    const limits = {
      frame_bytes: 65536,
      subscriptions: 1000,
      max_rate_default: 200,
      max_rate: 10000,
      last: 1000,
    };
    this.say({ type: "hello", protocol: "tally.v1", connection: "c", heartbeat_ms: 15_000, limits });
  }

  lose(): void {
    this.onclose?.({ code: 1006, reason: "" });
  }
}

const page = new EventTarget() as EventTarget & { hidden: boolean };
let client: Client;
let states: ClientState[];

const start = (options = {}): Client => {
  client = new Client("http://gateway", { webSocket: Wire, ...options });
  client.on("state", (state) => states.push(state));
  return client;
};

/** Lets what was queued run; no time passes. */
const tick = () => vi.advanceTimersByTimeAsync(0);

const connected = async (options = {}): Promise<{ job: Subscription; wire: Wire }> => {
  start(options);
  const job = client.subscribe("job:1");
  await tick();
  const wire = Wire.last;
  wire.hello();
  wire.say(at(1, "job:1", { ok: 6 }));
  await job.ready;
  wire.sent.length = 0;
  return { job, wire };
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(1_700_000_000_000);
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
  page.hidden = false;
  Wire.all = [];
  states = [];
});
afterEach(() => {
  client?.disconnect();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("coming back", () => {
  it("takes a random pause up to a cap that doubles", () => {
    for (const [attempts, most] of [
      [0, 250],
      [1, 500],
      [6, 16_000],
      [7, 20_000],
      [2_000, 20_000],
    ] as const) {
      expect(pause(RECONNECT, attempts, null, () => 0)).toBe(0);
      expect(pause(RECONNECT, attempts, null, () => 0.5)).toBe(most / 2);
    }
    expect(pause({ ...RECONNECT, attemptsMax: 2 }, 2, null, () => 0)).toBe(null);
  });

  it("keeps to the gateway's window, cut to ten minutes", () => {
    expect(pause(RECONNECT, 3, [2_000, 9_000], () => 0)).toBe(2_000);
    expect(pause(RECONNECT, 3, [2_000, 9_000], () => 0.5)).toBe(5_500);
    expect(pause(RECONNECT, 0, [9_000, 1_000], () => 0.9)).toBe(9_000);
    expect(pause(RECONNECT, 0, [3_600_000, 7_200_000], () => 0.9)).toBe(600_000);
  });

  it("waits inside the window of goodbye, then attempts", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const { wire } = await connected();
    wire.say({ type: "goodbye", code: "drain", reason: "restart", retry_after_ms: [10_000, 20_000] });
    wire.onclose?.({ code: 4000, reason: "" });
    expect(states.at(-1)).toEqual({ status: "connecting", code: 4000, reason: "restart", retryInMs: 15_000 });
    await vi.advanceTimersByTimeAsync(14_999);
    expect(Wire.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(Wire.all.length).toBe(2);
  });

  it("doubles the cap from attempt to attempt, and starts anew after a stable connection", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const { wire } = await connected();
    await vi.advanceTimersByTimeAsync(RECONNECT.stableAfterMs);
    wire.lose();
    for (const wait of [125, 250, 500]) {
      expect(states.at(-1)?.retryInMs).toBe(wait);
      await vi.advanceTimersByTimeAsync(wait);
      Wire.last.lose();
    }
    await vi.advanceTimersByTimeAsync(1_000);
    Wire.last.hello();
    await vi.advanceTimersByTimeAsync(RECONNECT.stableAfterMs);
    Wire.last.lose();
    expect(states.at(-1)?.retryInMs).toBe(125);
  });

  it("gives up an attempt without hello, and one whose token does not come", async () => {
    start();
    await tick();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(states.at(-1)?.reason).toMatch("no hello within 10000 ms");
    expect(Wire.last.isClosed).toBe(true);
    client.disconnect();
    start({ token: () => new Promise(() => {}) });
    const before = Wire.all.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(states.at(-1)?.reason).toMatch("no hello");
    expect(Wire.all.length).toBe(before);
  });

  it("attempts at once when the network comes back", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.99);
    const { wire } = await connected();
    wire.lose();
    for (let i = 0; i < 6; i++) {
      await vi.advanceTimersByTimeAsync(states.at(-1)?.retryInMs ?? 0);
      Wire.last.lose();
    }
    expect(states.at(-1)?.retryInMs).toBeGreaterThan(5_000);
    const before = Wire.all.length;
    page.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(250);
    expect(Wire.all.length).toBe(before + 1);
  });
});

describe("supervision", () => {
  it("drops a connection that is silent for three heartbeats, and not one that speaks", async () => {
    const { wire } = await connected();
    for (let i = 0; i < 8; i++) {
      await vi.advanceTimersByTimeAsync(15_000);
      wire.say({ type: "heartbeat", at: 1 });
    }
    expect(Wire.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(44_999);
    expect(wire.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(wire.isClosed).toBe(true);
    expect(states.at(-1)?.reason).toBe("nothing was received for 45000 ms");
    await vi.advanceTimersByTimeAsync(250);
    Wire.last.hello();
    expect(Wire.last.sent[0]?.channels[0].after).toEqual({ epoch: "e1", seq: 6 });
  });

  it("notices after a suspension that the connection is dead, and resumes", async () => {
    const { wire, job } = await connected();
    // The machine slept for an hour: no timer ran, the wall clock went on.
    vi.setSystemTime(Date.now() + 3_600_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(wire.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(wire.isClosed).toBe(true);
    await vi.advanceTimersByTimeAsync(250);
    Wire.last.hello();
    Wire.last.say(resumed(Wire.last.sent[0]?.id, "job:1", 6), events("job:1", 7, "ok"));
    expect(job.cursor).toBe(7);
    expect(job.ledger?.closes()).toBe(true);
  });

  it("keeps a connection whose frames were only waiting in the socket", async () => {
    const { wire } = await connected();
    vi.setSystemTime(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(5_000);
    wire.say({ type: "heartbeat", at: 1 });
    await vi.advanceTimersByTimeAsync(40_000);
    expect(wire.isClosed).toBe(false);
  });

  it("does not believe a clock that was set back", async () => {
    const { wire } = await connected();
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(44_000);
    wire.say({ type: "heartbeat", at: 1 });
    await vi.advanceTimersByTimeAsync(44_000);
    expect(wire.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(wire.isClosed).toBe(true);
  });

  it("notices a silent connection although the clock was set back", async () => {
    const { wire } = await connected();
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(49_000);
    expect(wire.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(wire.isClosed).toBe(true);
  });

  it.each(["online", "offline"])("has the connection prove itself when the page is %s", async (type) => {
    const { wire } = await connected();
    page.dispatchEvent(new Event(type));
    await vi.advanceTimersByTimeAsync(15_999);
    expect(wire.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(wire.isClosed).toBe(true);
  });
});

describe("a hidden page", () => {
  const show = (isVisible: boolean): void => {
    page.hidden = !isVisible;
    page.dispatchEvent(new Event("visibilitychange"));
  };

  it("asks for counts every 5 s, and comes back to what it had", async () => {
    const { wire } = await connected();
    const slow = client.subscribe("job:2", { tickMs: 1000 });
    await tick();
    wire.say(at(2, "job:2", { ok: 1 }));
    await slow.ready;
    wire.sent.length = 0;
    show(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(wire.sent).toEqual([{ type: "rung", channel: null, rung: "counts", tick_ms: 5000 }]);
    // What is subscribed meanwhile is no quicker.
    client.subscribe("job:3");
    await tick();
    expect(wire.sent[1]?.channels).toEqual([{ channel: "job:3", rung: "full", tick_ms: 5000 }]);
    wire.sent.length = 0;
    show(true);
    await tick();
    expect(wire.sent).toEqual([
      { type: "rung", channel: null, rung: "full", tick_ms: 250 },
      { type: "rung", channel: "job:2", rung: "full", tick_ms: 1000 },
    ]);
  });

  it("asks for nothing when it is hidden for a moment", async () => {
    const { wire } = await connected();
    show(false);
    await vi.advanceTimersByTimeAsync(999);
    show(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(wire.sent).toEqual([]);
  });

  it("keeps what it has where the application says so", async () => {
    const { wire } = await connected({ hidden: "keep" });
    show(false);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(wire.sent).toEqual([]);
  });
});

describe("handing over", () => {
  let frames: (() => void)[];
  beforeEach(() => {
    frames = [];
    vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
    vi.stubGlobal("cancelAnimationFrame", () => {});
  });
  const runFrames = (): void => {
    for (const run of frames.splice(0)) run();
  };
  const attachedInFrames = async (): Promise<{ job: Subscription; wire: Wire }> => {
    start();
    const job = client.subscribe("job:1");
    await tick();
    Wire.last.hello();
    Wire.last.say(at(1, "job:1", { ok: 6 }));
    runFrames();
    await job.ready;
    Wire.last.sent.length = 0;
    return { job, wire: Wire.last };
  };

  it("gives one batch per animation frame, while totals are read at any time", async () => {
    const { job, wire } = await attachedInFrames();
    const batches: [number, number, number][] = [];
    job.on("events", ({ from, to, events }) => batches.push([from, to, events.length]));
    wire.say(events("job:1", 7, "ok"), events("job:1", 8, "ok", "ok"), events("job:1", 10, "ok"));
    expect(batches).toEqual([]);
    expect(job.cursor).toBe(10);
    runFrames();
    expect(batches).toEqual([[7, 10, 4]]);
  });

  it("does without frames in a hidden page, and where they do not come", async () => {
    const { job, wire } = await attachedInFrames();
    let told = 0;
    job.on("events", () => told++);
    wire.say(events("job:1", 7, "ok"));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toBe(1);
    page.hidden = true;
    wire.say(events("job:1", 8, "ok"));
    await tick();
    expect(told).toBe(2);
  });

  it("lets go of what the page does not take, says so, and asks for counts", async () => {
    const { job, wire } = await attachedInFrames();
    const told: Update[] = [];
    const overloads: string[] = [];
    job.on("update", (update) => told.push(update));
    client.on("overload", ({ rung }) => overloads.push(rung));
    const kinds = new Array(250).fill("ok");
    for (let i = 0; i < 60; i++) wire.say(events("job:1", 7 + i * 250, ...kinds));
    runFrames();
    await tick();
    expect(told.map(({ type }) => type)).toEqual(["skipped", "events"]);
    const [skipped, rest] = told as [
      Extract<Update, { type: "skipped" }>,
      Extract<Update, { type: "events" }>,
    ];
    expect([skipped.from, skipped.counts.get("ok")]).toEqual([7, skipped.to - 6]);
    expect([rest.from, rest.to]).toEqual([skipped.to + 1, 15_006]);
    expect(overloads).toEqual(["counts"]);
    expect(wire.sent).toEqual([{ type: "rung", channel: null, rung: "counts" }]);
    expect(job.ledger?.full.get("ok")).toBe(15_000);
    // Calm for ten seconds: up again.
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(5_000);
      wire.say({ type: "heartbeat", at: 1 });
    }
    expect(overloads).toEqual(["counts", "full"]);
    expect(wire.sent.at(-1)).toEqual({ type: "rung", channel: null, rung: "full" });
  });
});

describe("pace", () => {
  it("lowers a page that is busy most of the time, and doubles the calm it wants", () => {
    const pace = new Pace();
    let now = 1_000_000;
    const run = (forMs: number, share: number): void => {
      for (const end = now + forMs; now < end; now += 100) pace.handle(now, share * 100, false);
    };
    run(10_000, 0.5);
    expect(pace.rung).toBe("full");
    run(2_500, 0.8);
    expect(pace.rung).toBe("counts");
    run(5_000, 0.8);
    expect(pace.rung).toBe("summary");
    run(9_000, 0.1);
    expect(pace.rung).toBe("summary");
    run(22_000, 0.1);
    expect(pace.rung).toBe("full");
    run(2_500, 0.8);
    expect(pace.rung).toBe("counts");
    run(15_000, 0.1);
    expect(pace.rung).toBe("counts");
    run(8_000, 0.1);
    expect(pace.rung).toBe("full");
  });
});

describe("rate", () => {
  it("is of the last ten seconds, and of fewer while it is young", () => {
    const rate = new Rate();
    let now = 1_000_000;
    for (let i = 0; i < 50; i++, now += 100) rate.note(10, now);
    expect(rate.read(now)).toBeCloseTo(100, 0);
    for (let i = 0; i < 200; i++, now += 100) rate.note(2, now);
    expect(rate.read(now)).toBeGreaterThan(17);
    expect(rate.read(now)).toBeLessThan(23);
    expect(rate.read(now + 60_000)).toBe(0);
    expect(rate.read(now - 60_000)).toBe(0);
  });
});

describe("onStale", () => {
  it("spreads refetches, runs one at a time, and joins what came meanwhile", async () => {
    const { job, wire } = await connected();
    let running = 0;
    let finish = (): void => {};
    const refetch = () => {
      running++;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    const end = onStale(job, refetch, {
      spreadMs: 4_000,
      everyMs: 1_000,
      kinds: ["failed"],
      random: () => 0.5,
    });
    const tell = (totals: Record<string, number>): void =>
      wire.say({
        type: "counts",
        channel: "job:1",
        epoch: "e1",
        seq: Object.values(totals).reduce((a, b) => a + b),
        totals,
        why: "asked",
      });
    tell({ ok: 7 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(running).toBe(0);
    tell({ ok: 7, failed: 1 });
    await vi.advanceTimersByTimeAsync(1_999);
    expect(running).toBe(0);
    tell({ ok: 7, failed: 2 });
    await vi.advanceTimersByTimeAsync(1);
    expect(running).toBe(1);
    tell({ ok: 7, failed: 3 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(running).toBe(1);
    finish();
    await vi.advanceTimersByTimeAsync(2_999);
    expect(running).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(running).toBe(2);
    end();
    finish();
    tell({ ok: 7, failed: 4 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(running).toBe(2);
  });
});
