//! The viewer before real gateways on a real Redis. At the end of each test the page's account is the broker's.

import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { seriousFindings } from "./harness/axe.ts";
import { launch, openTab, throttleNetwork } from "./harness/browser.ts";
import { Child } from "./harness/child.ts";
import { Gateway, program } from "./harness/gateway.ts";
import { eventsOf, publishAt } from "./harness/load.ts";
import { RawBrowser } from "./harness/raw.ts";
import { Redis } from "./harness/redis.ts";
import { until } from "./harness/until.ts";
import { type Account, Viewer } from "./harness/viewer.ts";

let browser: Browser;
let redis: Redis;
let gateway: Gateway;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  redis = await Redis.start();
  ends.push(() => redis.end());
  gateway = await Gateway.start({ redis });
  ends.push(() => gateway.end());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const open = async (channel: string, query = ""): Promise<Viewer> => {
  const viewer = await Viewer.open(browser, gateway, channel, query);
  ends.push(() => viewer.close());
  return viewer;
};

test("the program under test has its pages", async () => {
  for (const url of [`${gateway.url}/`, `${gateway.adminUrl}/ops`]) {
    const response = await fetch(url);
    expect(response.headers.get("content-security-policy")).not.toContain("unsafe");
    expect(await response.text()).toContain('<script type="module"');
  }
});

test("a job appears by itself, runs before the reader's eyes, and ends with every line in full", async () => {
  const tab = await openTab(browser, `${gateway.url}/`);
  ends.push(() => tab.close());
  const { page } = tab;
  await page.getByText("No jobs yet").waitFor();
  const gate = join(gateway.folder, "gate");
  execFileSync("mkfifo", [gate]);
  const script = 'cat "$0"; for i in 1 2 3; do echo "line $i"; done; echo "the last" >&2; exit 3';
  const args = [
    "run",
    "--quiet",
    "--to",
    gateway.url,
    "--channel",
    "job:e2e",
    "--",
    "sh",
    "-c",
    script,
    gate,
  ];
  const job = new Child("tally run", program(), args);
  ends.push(() => job.end());
  const entry = page.getByRole("link", { name: /job:e2e/ });
  await entry.waitFor();
  await entry.getByRole("img", { name: "running" }).waitFor();
  await entry.click();
  await page.locator(".head .state", { hasText: "running" }).waitFor();
  const viewer = Viewer.of(tab, "job:e2e");
  await until("the attach", () => viewer.account());
  // The job waits for its gate to be opened.
  await writeFile(gate, "the gate is open\n");
  await page.locator(".row.event", { hasText: "the gate is open" }).waitFor();
  await page.locator(".row.event", { hasText: "run_finished" }).waitFor();
  await page.locator(".head .state", { hasText: "failed" }).waitFor();
  await entry.getByRole("img", { name: "failed" }).waitFor();
  // The job had begun before anybody listened.
  expect(await viewer.settled(gateway)).toMatchObject({ attached: 1, full: 6, published: 7 });
});

describe("an account that closes", () => {
  test("in full, below the rate", async () => {
    const viewer = await open("job:slow");
    await publishAt(gateway, "job:slow", { perSecond: 50, seconds: 2 });
    const account = await viewer.settled(gateway);
    expect(account).toMatchObject({ attached: 0, full: 100, counted: 0, summarised: 0 });
    expect(await viewer.rung()).toBe("full");
  });

  test("while throttled, and after it", async () => {
    const viewer = await open("job:fast");
    const publishing = publishAt(gateway, "job:fast", { perSecond: 2_000, seconds: 4 });
    await until("the badge to say counts", async () => (await viewer.rung()) === "counts");
    await until("the line of what was counted", () => viewer.shows(/events counted while throttled: .* ok/));
    await until("its tail", async () => (await viewer.tab.page.locator(".row.tail").count()) > 0);
    expect(await viewer.tab.page.locator(".rung").textContent()).toContain("200 events/s granted");
    await publishing;
    const account = await viewer.settled(gateway);
    expect(account.whys.throttled).toBe(account.counted);
    expect(account.counted).toBeGreaterThan(0);
    expect(account.full).toBeGreaterThan(0);
    await until("full again", async () => (await viewer.rung()) === "full");
    await gateway.publish("job:fast", [{ kind: "done", class: "state", data: "the end" }]);
    await until("the event after it", () => viewer.logs("the end"));
    await viewer.settled(gateway);
  });

  test("over a stalled connection", async () => {
    const viewer = await open("job:stall", "&max_rate=1000");
    await throttleNetwork(viewer.tab, 50_000);
    const publishing = publishAt(gateway, "job:stall", { perSecond: 400, seconds: 12, chars: 2_000 });
    await until("the badge to say summary", async () => (await viewer.rung()) === "summary");
    expect(await viewer.tab.page.locator(".rung").textContent()).toContain("this connection is slow");
    await publishing;
    await throttleNetwork(viewer.tab, null);
    const account = await viewer.settled(gateway);
    expect(account.whys.backpressure).toBeGreaterThan(0);
    await until("full again", async () => (await viewer.rung()) === "full");
    await gateway.publish("job:stall", eventsOf(7));
    expect((await viewer.settled(gateway)).full).toBeGreaterThan(account.full);
  });

  test("over the death of its gateway, on another", async () => {
    const viewer = await open("job:moved");
    await gateway.publish("job:moved", eventsOf(30));
    await viewer.settled(gateway);
    const other = await Gateway.start({ redis });
    ends.push(() => other.end());
    await gateway.kill();
    await until("the page to notice", async () => (await viewer.link()) !== "connected");
    await viewer.tab.page.getByRole("alert").getByText("No connection to the gateway").waitFor();
    await other.publish("job:moved", eventsOf(40));
    // The page comes back to the same address, as through a load balancer.
    gateway = await Gateway.start({ redis, port: gateway.port });
    await until("the page to come back", async () => (await viewer.link()) === "connected");
    await until("it to say so", () => viewer.logs("Resumed at 30"));
    const account = await viewer.settled(gateway);
    expect(account).toMatchObject({ attached: 0, published: 70 });
    await gateway.publish("job:moved", eventsOf(5));
    expect((await viewer.settled(gateway)).full).toBe(account.full + 5);
  });

  test("over a restart of Redis that kept everything", async () => {
    const viewer = await open("job:kept");
    await gateway.publish("job:kept", eventsOf(20));
    await viewer.settled(gateway);
    await redis.stop();
    await viewer.tab.page.getByRole("alert").getByText("cannot reach the broker").waitFor();
    await until("the row that says so", () => viewer.logs("cannot reach the broker"));
    await redis.start();
    await until("the row that says it is back", () => viewer.logs("The broker is back"));
    await gateway.publish("job:kept", eventsOf(25));
    const account = await viewer.settled(gateway);
    expect(account).toMatchObject({ attached: 0, published: 45 });
  });

  test("anew, where Redis lost everything", async () => {
    const viewer = await open("job:lost");
    await gateway.publish("job:lost", eventsOf(20));
    await viewer.settled(gateway);
    await redis.lose();
    await viewer.tab.page.getByRole("alert").getByText("cannot reach the broker").waitFor();
    await redis.start();
    await until("the row of the reset", () => viewer.logs("the account so far ended at 20"));
    await gateway.publish("job:lost", eventsOf(6));
    expect(await viewer.settled(gateway)).toMatchObject({ published: 6 });
  });

  test("in a tab that nobody sees, and when it is shown again", async () => {
    const raw = await RawBrowser.launch();
    ends.push(() => raw.close());
    const tab = await raw.open(`${gateway.url}/?channel=job:hidden`);
    const account = (): Promise<Account | null> => tab.evaluate("window.tally?.account()");
    const at = (published: number): Promise<Account> =>
      until(`the page to be at ${published}`, async () => {
        const own = await account();
        return own?.published === published ? own : null;
      });
    const rung = (): Promise<string | null> => tab.evaluate("document.querySelector('.rung')?.dataset.rung");
    const row = "[...document.querySelectorAll('.row.span')].map((row) => row.textContent).join()";
    await until("the attach", account);
    await gateway.publish("job:hidden", eventsOf(10));
    await at(10);
    const cover = await raw.open("about:blank");
    await cover.show();
    await until("the tab to be hidden", () => tab.evaluate("document.hidden"));
    await until("the gateway to be asked for counts", () =>
      tab.evaluate("window.tally.shown.value.subscription.rung === 'counts'"),
    );
    await gateway.publish("job:hidden", eventsOf(50));
    expect(await at(60)).toMatchObject({ full: 10, counted: 50, closes: true });
    await tab.show();
    await until("full again", async () => (await rung()) === "full");
    await until("the line", async () =>
      (await tab.evaluate<string>(row)).includes("50 events counted while this tab was hidden"),
    );
    await gateway.publish("job:hidden", eventsOf(5));
    const { totals, ...own } = await at(65);
    expect(own).toMatchObject({ full: 15, counted: 50, closes: true });
    expect(totals).toEqual((await gateway.snapshot("job:hidden"))?.totals);
  });

  test("at 1,000 events per second in full, with a log that stays bounded", async () => {
    const viewer = await open("job:busy", "&max_rate=2000");
    const seconds = Number(process.env.TALLY_BUSY_SECONDS ?? 8);
    await publishAt(gateway, "job:busy", { perSecond: 1_000, seconds });
    const account = await viewer.settled(gateway);
    expect(account.published).toBe(1_000 * seconds);
    expect(Number(await viewer.tab.page.locator(".log").getAttribute("data-rows"))).toBeLessThan(5_500);
    expect(await viewer.tab.page.locator(".row").count()).toBeLessThan(100);
    await until("the newest row", () => viewer.shows(new Intl.NumberFormat("en").format(account.published)));
  });
});

test("the log follows its tail until the reader scrolls up, and again at the end", async () => {
  const viewer = await open("job:log");
  const { page } = viewer.tab;
  const log = page.locator(".log");
  await gateway.publish("job:log", eventsOf(150));
  await until("the newest row", () => viewer.shows(/^150/));
  expect(await log.getAttribute("data-following")).toBe("true");
  await log.focus();
  await page.keyboard.press("PageUp");
  await until("it to stop following", async () => (await log.getAttribute("data-following")) === "false");
  await gateway.publish("job:log", eventsOf(12));
  await page.getByRole("button", { name: "12 new" }).waitFor();
  expect(await viewer.shows(/^162/)).toBe(false);
  await page.getByRole("button", { name: "12 new" }).click();
  await until("the newest row", () => viewer.shows(/^162/));
  await log.hover();
  await page.mouse.wheel(0, -400);
  await until("it to stop following", async () => (await log.getAttribute("data-following")) === "false");
  await log.focus();
  await page.keyboard.press("End");
  await until("it to follow", async () => (await log.getAttribute("data-following")) === "true");
  await viewer.settled(gateway);
});

describe("the page for everybody", () => {
  const views = [
    { width: 1280, height: 800, theme: "light" },
    { width: 1280, height: 800, theme: "dark" },
    { width: 390, height: 844, theme: "light" },
    { width: 390, height: 844, theme: "dark" },
  ] as const;

  test.each(views)("has nothing serious for axe at $width in $theme", async (view) => {
    const job = { command: ["ping", "localhost"], channel: "job:axe" };
    await gateway.publish("jobs", [{ kind: "run_started", class: "state", at: Date.now(), data: job }]);
    const viewer = await Viewer.open(browser, gateway, "job:axe", "", view);
    ends.push(() => viewer.close());
    const { page } = viewer.tab;
    await publishAt(gateway, "job:axe", { perSecond: 1_500, seconds: 2 });
    await until("the line of what was counted", () => viewer.logs("counted while throttled"));
    await page.getByRole("button", { name: "By kind" }).click();
    expect(await seriousFindings(page)).toEqual([]);
    await redis.stop();
    await page.getByRole("alert").waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await redis.start();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await viewer.settled(gateway);
    // No part is wider than the page.
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await page.goto(`${gateway.url}/`);
    await page.getByRole("link", { name: /job:axe/ }).waitFor();
    expect(await seriousFindings(page)).toEqual([]);
  });
});
