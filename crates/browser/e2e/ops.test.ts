//! The dashboard before a real fleet: two gateways on one Redis, clients on every rung, one that reads nothing.
//!
//! One fleet and one page for all tests, one after the other, as an operator would see the day go by.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Client, type SubscribeOptions } from "../client/src/index.ts";
import { launch, openTab, type Tab } from "./harness/browser.ts";
import { Gateway } from "./harness/gateway.ts";
import { eventsOf, publishAt } from "./harness/load.ts";
import { Redis } from "./harness/redis.ts";
import { until } from "./harness/until.ts";
import { stall } from "./ops-stalled.ts";

let browser: Browser;
let redis: Redis;
let a: Gateway;
let b: Gateway;
let tab: Tab;
let page: Page;
const ends: (() => unknown)[] = [];

const listen = async (gateway: Gateway, channel: string, options: SubscribeOptions = {}): Promise<Client> => {
  const client = new Client(gateway.url, { webSocket: WebSocket as never });
  ends.push(() => client.disconnect());
  await client.subscribe(channel, options).ready;
  return client;
};

/** One figure of `/metrics`, summed over its labels as far as they are not named. */
const metric = async (gateway: Gateway, name: string, label = ""): Promise<number> => {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const lines = text
    .split("\n")
    .filter((line) => new RegExp(`^${name}(\\{.*\\})? `).test(line) && line.includes(label));
  if (lines.length === 0) throw new Error(`${name} ${label} is not in /metrics`);
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
};

const metrics = async (name: string, label = ""): Promise<number> =>
  (await metric(a, name, label)) + (await metric(b, name, label));

const text = async (it: Locator): Promise<string> => (await it.textContent()) ?? "";
const total = (name: string): Promise<string> => text(page.locator(`[data-total="${name}"] b`));
const number = (text: string): number => Number(text.replace(/[^\d.-]/g, ""));
const verdict = (question: string) => page.locator(".verdict", { hasText: question }).locator(".answer");
const row = (text: string) => page.locator("tbody tr", { hasText: text });
const view = (name: string) => page.getByRole("navigation").getByRole("button", { name }).click();

beforeAll(async () => {
  redis = await Redis.start();
  a = await Gateway.start({ redis, settings: ["name=first", "shards=2"] });
  b = await Gateway.start({ redis, settings: ["name=second", "shards=2"] });
  browser = await launch();
  tab = await openTab(browser, `${a.adminUrl}/ops`);
  page = tab.page;
});

afterAll(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await browser?.close();
  for (const gateway of [a, b]) await gateway?.end();
  await redis?.end();
});

describe.sequential("an operator", () => {
  test("sees both gateways by themselves, and figures that are those of /metrics", async () => {
    await row("first").getByText("running").waitFor();
    await row("second").getByText("running").waitFor();
    for (let n = 0; n < 4; n++) {
      await listen(n % 2 ? a : b, "job:1");
      await listen(n % 2 ? a : b, "job:1", { rung: "counts", tickMs: 1000 });
    }
    await listen(b, "job:2", { rung: "summary" });
    // The page itself is the tenth.
    await until("ten connections on the page", async () => (await total("Connections")) === "10");
    expect(await metrics("tally_connections")).toBe(10);
    await until("the same interest, and as many channels", async () => {
      const [interest, channels] = [number(await total("Interest")), number(await total("Channels"))];
      return (
        interest === (await metrics("tally_interest_channels")) &&
        channels === (await metrics("tally_channels"))
      );
    });
    const rungs = async (rung: string) => metrics("tally_subscriptions", `rung="${rung}"`);
    await until("the same subscriptions", async () => {
      const all = (await rungs("full")) + (await rungs("counts")) + (await rungs("summary"));
      const words = await text(page.locator('[data-total="Connections"] span'));
      return number(words) === all && all >= 9;
    });
    expect(await rungs("counts")).toBe(4);
    expect(await rungs("summary")).toBe(1);
    await expect.poll(() => text(verdict("Who is slow?"))).toContain("5 of 10 below full");
  });

  test("sees what is hot, finds it by prefix, and its history", async () => {
    const load = publishAt(a, "job:1", { perSecond: 120, seconds: 12 });
    await view("Channels");
    await until("the channel and its listeners", async () => {
      const cells = await row("job:1").locator("td").allTextContents();
      return number(cells[1] ?? "0") > 60 && cells[2] === "8";
    });
    await page.keyboard.press("/");
    await page.keyboard.type("job:2");
    await row("job:1").waitFor({ state: "detached" });
    await row("job:2").waitFor();
    expect(await row("job:1").count()).toBe(0);
    expect(new URL(page.url()).search).toContain("search=job%3A2");
    await page.keyboard.press("Escape");
    await row("job:1").click();
    const drawer = page.locator(".drawer");
    await drawer.getByText("8 listeners: 4 full, 4 counts, 0 summary").waitFor();
    const last = await load;
    await until("every event of it", async () => {
      const fact = drawer.locator("dl div", { hasText: "Events so far" }).locator("dd");
      return number(await text(fact)) === last;
    });
    expect((await a.snapshot("job:1"))?.seq).toBe(last);
    expect(await drawer.locator(".chart-empty").count()).toBe(0);
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "detached" });
    await view("Fleet");
  });

  test("sees the account close, and the deliveries of /metrics in it", async () => {
    const before = await metrics("tally_delivered_events_total");
    const throttled = await listen(b, "job:3", { maxRate: 5 });
    await publishAt(a, "job:3", { perSecond: 200, seconds: 4 });
    await until("its cursor at the end", () => {
      const [channel] = throttled.channels;
      return channel === "job:3";
    });
    const booked = async () => {
      const cells = await page.locator("#account tr td").allTextContents();
      const [advanced = 0, full = 0, counted = 0, summarised = 0, residual = 0] = cells.map(number);
      return { advanced, sum: full + counted + summarised, residual };
    };
    await until("what was delivered before", async () => (await booked()).sum >= before + 700);
    const { advanced, sum, residual } = await booked();
    expect([residual, advanced]).toEqual([0, sum]);
    await until("as much in /metrics", async () => (await metrics("tally_delivered_events_total")) >= sum);
    expect(await page.locator(".lost").getAttribute("data-lost")).toBe("0");
    expect(await page.locator(".lost").getAttribute("class")).toContain("good");
    await expect.poll(() => text(verdict("Is everything arriving?"))).toContain("none lost");
  });

  test("finds the one who is slow and why, and disconnects it after a confirmation", async () => {
    const slow = await stall(a, "kiosk of hall B", ["firehose"]);
    ends.push(() => slow.end());
    const large = { perSecond: 100, seconds: 8, chars: 8_000 };
    const load = publishAt(a, "firehose", large);
    await view("Connections");
    const kiosk = row("kiosk of hall B");
    await until("the rung and why", async () => /summary.*backpressure/s.test(await text(kiosk)));
    await page.keyboard.press("/");
    await page.keyboard.type("kiosk");
    await until("only that row", async () => (await page.locator("tbody tr").count()) === 1);
    await kiosk.click();
    const drawer = page.locator(".drawer");
    await drawer.getByText("firehose").waitFor();
    await until("its past in the drawer", async () => (await drawer.locator(".moves li").count()) >= 2);
    const open = await metric(a, "tally_connections");
    const dialog = page.locator("dialog[open]");
    const ask = async () => {
      await drawer.getByRole("button", { name: "Disconnect" }).click();
      await dialog.getByText("tells the client not to come back").waitFor();
    };
    await ask();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await ask();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    await load;
    expect(await metric(a, "tally_connections")).toBe(open);
    await ask();
    await dialog.getByRole("button", { name: "Disconnect" }).click();
    slow.drain();
    await slow.ended;
    await page.getByText(/was disconnected/).waitFor();
    await until("one connection less", async () => (await metric(a, "tally_connections")) === open - 1);
    await drawer.getByText(/no connection|may have ended/).waitFor();
    await page.keyboard.press("Escape");
    await kiosk.waitFor({ state: "detached" });
    await view("Fleet");
  });

  test("sees a gateway that is killed fall silent, and then gone, and another one come", async () => {
    await b.kill();
    await row("second").getByText("silent").waitFor();
    expect(await text(verdict("Is everything arriving?"))).toContain("Not sure");
    const c = await Gateway.start({ redis, settings: ["name=third", "shards=2"] });
    ends.push(() => c.end());
    await row("third").getByText("running").waitFor();
    await row("second").getByText("gone").waitFor({ timeout: 100_000 });
    const changes = page.locator("#changes");
    await changes.getByText("second is gone: it stopped without draining").waitFor();
    await changes.getByText("third came").waitFor();
    // Its last hours are still there, from the memory of those that live.
    const later = await openTab(browser, `${a.adminUrl}/ops?range=1h`);
    ends.push(() => later.close());
    await later.page.locator("tbody tr", { hasText: "second" }).getByText("gone").waitFor();
    expect(later.errors).toEqual([]);
  });

  test("drains a gateway after a confirmation, and is told that it leaves", async () => {
    await row("third").click();
    await page.locator(".drawer").getByRole("button", { name: "Drain" }).click();
    await page.locator("dialog[open]").getByRole("button", { name: "Drain third" }).click();
    await page.getByText("third drains.").waitFor();
    await page.keyboard.press("Escape");
    await row("third").getByText("gone").waitFor();
    await page.locator("#changes").getByText("third left after draining").waitFor();
  });

  test("sees Redis go and come back, and is not told meanwhile that all is well", async () => {
    // A sample, that is, and not only what others remember.
    await until("Redis up", async () => (await text(verdict("How is Redis?"))).includes("Up"));
    await redis.stop();
    await page.getByRole("alert").getByText("no link to Redis").waitFor();
    expect(await text(verdict("How is Redis?"))).toContain("Down");
    expect(await text(verdict("Is everything arriving?"))).toContain("Not known now");
    expect(await text(row("first"))).toContain("running");
    await redis.start();
    await page.locator(".link-state").getByText("Live").waitFor();
    await until("Redis up", async () => (await text(verdict("How is Redis?"))).includes("Up"));
    await page
      .locator("#changes")
      .getByText(/lost (its|their) link to Redis/)
      .first()
      .waitFor();
    await page
      .locator("#changes")
      .getByText(/link to Redis again|(has|have) it again/)
      .first()
      .waitFor();
    await a.publish("job:1", eventsOf(3));
    expect(await page.locator(".lost").getAttribute("data-lost")).toBe("0");
  });

  test("gets around by keyboard, and the address says where the page is", async () => {
    for (const channel of ["job:1", "job:2"]) await listen(a, channel);
    await page.keyboard.press("3");
    await page.locator("tbody tr").nth(2).waitFor();
    await page.locator("tbody tr").first().waitFor();
    await page.locator("tbody tr").first().focus();
    await page.keyboard.press("ArrowDown");
    const second = page.locator("tbody tr").nth(1);
    await expect.poll(() => second.evaluate((it) => it === document.activeElement)).toBe(true);
    await page.keyboard.press("Enter");
    await page.locator(".drawer").waitFor();
    const { search } = new URL(page.url());
    expect(search).toMatch(/view=connections/);
    expect(search).toMatch(/connection=/);
    const same = await openTab(browser, page.url());
    ends.push(() => same.close());
    await same.page.locator(".drawer dl").waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => second.evaluate((it) => it === document.activeElement)).toBe(true);
    await page.goBack();
    await expect
      .poll(() => page.getByRole("button", { name: "Fleet" }).getAttribute("aria-current"))
      .toBe("page");
  });

  test.each(["light", "dark"] as const)("reads it well with any eyes and tools: %s", async (theme) => {
    const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    for (const width of [1280, 390]) {
      for (const query of ["", "?view=channels&channel=job:1", "?view=connections"]) {
        const it = await openTab(browser, `${a.adminUrl}/ops${query}`, { theme, width });
        await it.page.locator("main .panel h2").first().waitFor();
        const found = await it.page.evaluate(`${axe}; axe.run().then(({ violations }) => violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 120)).join(" | ")))`);
        expect(found, `${width} ${query}`).toEqual([]);
        const over = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        expect(await it.page.evaluate(over), `${width} ${query} is wider than the page`).toBe(0);
        expect(it.errors).toEqual([]);
        await it.close();
      }
    }
  });

  test("had no error in the page all day", () => {
    expect(tab.errors).toEqual([]);
  });
});
