//! The pure parts that answer the page's questions: account, evenness, verdicts, changes, lists and their order.

import { describe, expect, it } from "vitest";
import { CHANGES_MAX } from "../src/bounds.js";
import { byWhy, lostOf, residualOf, sumAccounts } from "../src/model/account.js";
import { between, ChangeLog, lastHour } from "../src/model/change.js";
import { mergeChannels, mergeHistories, mergeUnheard, topChannels } from "../src/model/channels.js";
import { matching, slowestFirst } from "../src/model/connections.js";
import { evenness, evenWord } from "../src/model/even.js";
import { Fleet, presenceOf } from "../src/model/fleet.js";
import { inOrder, sorted } from "../src/model/order.js";
import { howIsRedis, isArriving, isEven, isSlow, whatChanged, whatIsHot } from "../src/model/verdict.js";
import { readDetail } from "../src/shape/detail.js";
import { readSample, type Sample } from "../src/shape/sample.js";
import { accountOf, channelOf, connectionOf, detailOf, sampleOf } from "./told.js";

const T = 1_700_000_000_000;

const sample = (more = {}, id = "a-1", at = T): Sample => {
  const read = readSample(sampleOf(id, at, more));
  if (read === null) throw new Error("the sample of the test is none");
  return read;
};

const detail = (more = {}, id = "a-1") => {
  const read = readDetail(detailOf(id, T, more));
  if (read === null) throw new Error("the detail of the test is none");
  return read;
};

describe("the account", () => {
  it("closes, and says why events were counted", () => {
    const { account } = sample();
    expect(residualOf(account)).toBe(0);
    expect(byWhy([account, account])).toEqual([
      ["throttled", 100_000, 0],
      ["backpressure", 0, 12_000],
      ["unheard", 8_000, 0],
    ]);
  });

  it("adds up itself: a column that is not counted is lost, whatever the gateway says", () => {
    const { account } = sample({ account: accountOf({ full: 939_990, residual: 0, lost: 0 }) });
    expect([residualOf(account), lostOf(account)]).toEqual([10, 10]);
  });

  it("lets no gateway's surplus hide another's loss", () => {
    const more = sample({ account: accountOf({ full: 940_007 }) }).account;
    const less = sample({ account: accountOf({ full: 939_993, violations: 2, resets: 5 }) }).account;
    const sum = sumAccounts([more, less]);
    expect(sum).toMatchObject({ residual: 0, lost: 16, violations: 2, resets: 5, advanced: 2_000_000 });
    expect(isArriving(sum, 0)).toMatchObject({ grade: "bad", answer: "16 lost" });
  });

  it("is green only at zero, and where everybody speaks", () => {
    const sum = sumAccounts([sample().account]);
    expect(isArriving(sum, 0).grade).toBe("good");
    expect(isArriving(sum, 1).grade).toBe("warn");
    expect(isArriving(sumAccounts([]), 0).grade).toBe("idle");
  });
});

describe("evenness", () => {
  it("is the most over the mean, and says nothing of little", () => {
    expect(evenness([30, 10, 20], 8)).toEqual({ n: 3, mean: 20, max: 30, ratio: 1.5 });
    expect(
      [[20, 20], [30, 20], [90, 10, 10], [3, 1], [50]].map((values) => evenWord(evenness(values, 8))),
    ).toEqual(["even", "even", "very uneven", "too little to say", "too little to say"]);
    expect(evenWord(evenness([32, 18], 8))).toBe("uneven");
  });

  it("is judged over shards and gateways, by the worse", () => {
    const shard = (connections: number) => ({ connections });
    const even = sample({ connections: 100, shards: [shard(50), shard(50)] });
    const full = sample({ connections: 900, shards: [shard(450), shard(450)] }, "b-1");
    expect(isEven([even])).toMatchObject({ grade: "good" });
    expect(isEven([even, full])).toMatchObject({ grade: "warn", answer: "Uneven" });
  });
});

describe("the other questions", () => {
  it("who is slow", () => {
    const connection = slowestFirst([detail()])[0] ?? null;
    expect(isSlow([sample()], connection)).toEqual({
      grade: "warn",
      answer: "10 of 100 below full",
      more: "up to 4.2\u202fs behind",
    });
    const full = sample({ connections_by_rung: { full: 100, counts: 0, summary: 0 } });
    expect(isSlow([full], null)).toMatchObject({ grade: "good", answer: "Nobody" });
    const none = sample({ connections: 0, connections_by_rung: {} });
    expect(isSlow([none], null).grade).toBe("idle");
  });

  it("how Redis is", () => {
    const down = { up: false, since: T - 12_000, reason: "connection refused", probe_ms: null };
    expect(howIsRedis([sample()], T)).toMatchObject({ grade: "good", answer: "Up" });
    expect(howIsRedis([sample(), sample({ redis: down }, "b-1")], T)).toEqual({
      grade: "bad",
      answer: "Down for 1 of 2",
      more: "since 12\u202fs: connection refused",
    });
    expect(howIsRedis([sample({ redis: null })], T).answer).toBe("Not used");
  });

  it("what is hot", () => {
    const [hottest] = topChannels(mergeChannels([["a-1", detail().channels]]), "rate");
    expect(whatIsHot(hottest ?? null, 800)).toMatchObject({
      answer: "job:1",
      more: "400\u202fevents/s, 50.0\u202f% of all",
    });
    expect(whatIsHot(null, 0).answer).toBe("Nothing");
  });
});

describe("changes", () => {
  const at = (s: number) => T + s * 1000;
  const feed = (fleet: Fleet, from: number, to: number, more: object = {}, id = "a-1") => {
    for (let s = from; s < to; s++)
      fleet.take(sample({ started_at: T - 9_000_000, ...more }, id, at(s)), at(s));
  };
  const told = (fleet: Fleet, now: number, log = new ChangeLog()) =>
    lastHour(fleet.all(), log, (it) => presenceOf(it, now, 0), now);

  it("are none in a calm hour", () => {
    const fleet = new Fleet();
    feed(fleet, 0, 300);
    expect(told(fleet, at(300))).toEqual([]);
    expect(whatChanged([], T).answer).toBe("Nothing");
  });

  it("tell who came and who left", () => {
    const fleet = new Fleet();
    feed(fleet, 0, 300);
    feed(fleet, 100, 200, { started_at: at(95) }, "b-1");
    expect(told(fleet, at(300)).map((it) => [it.severity, it.text, it.at])).toEqual([
      ["bad", "b is gone: it stopped without draining", at(199)],
      ["note", "b came", at(95)],
    ]);
    fleet.leave("b-1");
    expect(told(fleet, at(300))[0]).toMatchObject({ severity: "note", text: "b left after draining" });
  });

  it("tell Redis going and coming back, once for all gateways", () => {
    const fleet = new Fleet();
    const link = (up: boolean) => ({ redis: { up, since: T, reason: null, probe_ms: 1 } });
    for (const id of ["a-1", "b-1"]) {
      feed(fleet, 0, 60, link(true), id);
      feed(fleet, 60, 80, link(false), id);
      feed(fleet, 80, 120, link(true), id);
    }
    expect(told(fleet, at(120)).map((it) => [it.what, it.text])).toEqual([
      ["redis up", "2 gateways have their link to Redis again"],
      ["redis down", "2 gateways lost their link to Redis"],
    ]);
  });

  it("tell an outage that no history shows, and only once where one does", () => {
    const link = (up: boolean, reconnects_total: number) => ({
      redis: { up, since: T, reason: null, probe_ms: 1, reconnects_total, lost_total: 0 },
    });
    const log = new ChangeLog();
    const fleet = new Fleet();
    feed(fleet, 0, 60, link(true, 1));
    log.push(between(sample(link(true, 0)), sample(link(true, 1)), at(30)));
    expect(told(fleet, at(60), log).map((it) => it.text)).toEqual([
      "a lost its link to Redis and has it again",
    ]);
    feed(fleet, 60, 80, link(false, 1));
    feed(fleet, 80, 120, link(true, 2));
    log.push(between(sample(link(true, 1)), sample(link(true, 2)), at(81)));
    expect(told(fleet, at(120), log).map((it) => it.what)).toEqual([
      "redis up",
      "redis down",
      "redis blinked",
    ]);
  });

  it("tell a share of rungs that moved", () => {
    const fleet = new Fleet();
    const rungs = (full: number) => ({ connections_by_rung: { full, counts: 100 - full, summary: 0 } });
    feed(fleet, 0, 60, rungs(95));
    feed(fleet, 60, 120, rungs(60));
    expect(told(fleet, at(120)).map((it) => it.text)).toEqual([
      "Connections below full: 5 % → 40 % (40 of 100)",
    ]);
  });

  it("tell resets, violations and losses as samples come", () => {
    const before = sample();
    const now = sample({ account: accountOf({ resets: 2, violations: 1 }), state: "draining" });
    expect(between(before, now, T).map((it) => it.what)).toEqual(["reset", "violation", "lost", "drain"]);
    expect(between(null, now, T)).toEqual([]);
    expect(between(now, sample(), T).map((it) => it.text)).toContain("The account of a closes again");
  });

  it("are bounded, and end after an hour", () => {
    const log = new ChangeLog();
    for (let n = 0; n < 1_000; n++)
      log.push(between(sample(), sample({ account: accountOf({ resets: 1 }) }), at(n)));
    expect(log.all()).toHaveLength(CHANGES_MAX);
    expect(told(new Fleet(), at(1_000), log)).toHaveLength(CHANGES_MAX);
    expect(told(new Fleet(), at(1_000 + 3_600), log)).toHaveLength(0);
  });

  it("alarm only while they are fresh", () => {
    const change = { at: T, severity: "bad", gateway: null, what: "redis down", text: "" } as const;
    expect(whatChanged([change], T + 60_000)).toMatchObject({ grade: "bad", answer: "1 change" });
    expect(whatChanged([change], T + 1_200_000).grade).toBe("idle");
  });
});

describe("channels", () => {
  it("of several gateways come together: the most of what all see, the sum of what each has", () => {
    const [it] = mergeChannels([
      ["a-1", detail({ channels: [channelOf("job:1", { rate: 10 })] }).channels],
      ["b-1", detail({ channels: [channelOf("job:1", { rate: 12 })] }).channels],
    ]);
    expect(it).toMatchObject({ rate: 12, listeners: 66, full: 60, inBytes: 24_000, outBytes: 1_440_000 });
    expect(it?.counted).toBeCloseTo(480 / 7_680);
    expect(it?.gateways).toEqual(["a-1", "b-1"]);
  });

  it("lead by what is asked for", () => {
    const channels = mergeChannels([
      [
        "a-1",
        detail({
          channels: [
            channelOf("fast", { rate: 900, out_bytes: 1, full_events: 5, counted_events: 0 }),
            channelOf("wide", { rate: 1, listeners: { full: 500 }, out_bytes: 2, counted_events: 0 }),
            channelOf("large", { rate: 2, out_bytes: 9_000_000, counted_events: 1 }),
            channelOf("counted", { rate: 3, out_bytes: 3, full_events: 0, counted_events: 9 }),
          ],
        }).channels,
      ],
    ]);
    const first = (["rate", "listeners", "bytes", "counted"] as const).map(
      (by) => topChannels(channels, by)[0]?.channel,
    );
    expect(first).toEqual(["fast", "wide", "large", "counted"]);
  });

  it("that nobody hears are summed, the most bytes first", () => {
    const of = (channel: string, bytes: number) => ({ channel, events: 1, bytes });
    const unheard = mergeUnheard([
      detail({ unheard: [of("x", 10), of("y", 15)] }),
      detail({ unheard: [of("x", 10)] }, "b-1"),
    ]);
    expect(unheard.map((it) => [it.channel, it.bytes])).toEqual([
      ["x", 20],
      ["y", 15],
    ]);
  });

  it("have one history", () => {
    const point = (at: number, rate: number, full: number) => ({ at, rate, full, counts: 0, summary: 0 });
    expect(mergeHistories([[point(2, 5, 1), point(1, 9, 1)], [point(2, 7, 3)]])).toEqual([
      point(1, 9, 1),
      point(2, 7, 4),
    ]);
  });
});

describe("connections", () => {
  const list = slowestFirst([
    detail({
      connections: [connectionOf("fine", T), connectionOf("counted", T, { rung: "counts", why: "asked" })],
    }),
    detail({ connections: [connectionOf("slow", T, { rung: "summary", lag_ms: 900 })] }, "b-1"),
  ]);

  it("are the slowest first: by lag, then rung, then bytes", () => {
    expect(list.map((it) => `${it.gateway} ${it.connection}`)).toEqual([
      "b-1 slow",
      "a-1 counted",
      "a-1 fine",
    ]);
  });

  it("are found by any of their words", () => {
    expect(matching(list, "firefox B-1").map((it) => it.connection)).toEqual(["slow"]);
    expect(matching(list, "")).toHaveLength(3);
  });
});

describe("the order of rows", () => {
  const rows = [
    { k: "a", n: 2 },
    { k: "b", n: null },
    { k: "c", n: 7 },
  ];

  it("has nulls last in both directions", () => {
    const keys = (direction: "asc" | "desc") => sorted(rows, (row) => row.n, direction).map((row) => row.k);
    expect([keys("asc"), keys("desc")]).toEqual([
      ["a", "c", "b"],
      ["c", "a", "b"],
    ]);
  });

  it("stands still while it is held: new rows come last, those that are gone fall out", () => {
    const held = inOrder([...rows, { k: "d", n: 9 }], (row) => row.k, ["c", "gone", "a"]);
    expect(held.map((row) => row.k)).toEqual(["c", "a", "b", "d"]);
  });
});
