//! Makes the viewer's pictures from a real demo: busy and throttled, both widths, both themes, into a folder; and the two
//! of the README into docs/images. `npm run screenshots -- FOLDER`; without a folder only those two.

import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, openTab, type Tab } from "./harness/browser.ts";
import { Child } from "./harness/child.ts";
import { program } from "./harness/gateway.ts";
import { freePort } from "./harness/redis.ts";
import { until } from "./harness/until.ts";

const IMAGES = fileURLToPath(new URL("../../../docs/images", import.meta.url));
/** So long the demo and the page run before a picture: the curves of the rates are a minute long. */
const BEFORE_MS = Number(process.env.TALLY_BEFORE_MS ?? 35_000);

const folder = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "tally-screenshots-")));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const demo = new Child("tally demo", program(), [
  "demo",
  "--listen",
  `127.0.0.1:${port}`,
  "--admin",
  "127.0.0.1:0",
]);
const browser = await launch();

/** The newest run of a job of the demo. */
const newest = async (tab: Tab, job: string): Promise<string> => {
  const link = tab.page.locator(".job", { hasText: `job:${job}-` }).first();
  await link.waitFor();
  return (await link.locator(".job-name").textContent()) ?? "";
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const views = [1280, 390].flatMap((width) =>
  (["light", "dark"] as const).map((theme) => ({ width, theme, height: width === 390 ? 844 : 800 })),
);

await until("the demo", async () => {
  demo.check();
  return (await fetch(url)).ok;
});
const tabs = await Promise.all(views.map((view) => openTab(browser, url, view)));
await wait(BEFORE_MS);
for (const [job, name] of [
  ["files", "throttled"],
  ["hosts", "busy"],
] as const) {
  for (const tab of tabs) {
    await tab.page.locator(".brand").click();
    const channel = await newest(tab, job);
    await tab.page.locator(".job", { hasText: channel }).first().click();
    await tab.page.locator(".row.event").first().waitFor();
    await tab.page.mouse.move(640, 400);
  }
  await wait(job === "files" ? 9_000 : 3_000);
  for (const [i, tab] of tabs.entries()) {
    const { width, theme } = views[i] as (typeof views)[number];
    await tab.page.screenshot({ path: join(folder, `viewer-${name}-${width}-${theme}.png`) });
    if (width === 1280 && theme === (name === "busy" ? "light" : "dark")) {
      await tab.page.screenshot({ path: join(IMAGES, `viewer-${name}.png`) });
    }
    if (tab.errors.length > 0) throw new Error(tab.errors.join("; "));
  }
}
process.stdout.write(`${folder}\n`);
await browser.close();
await demo.end();
