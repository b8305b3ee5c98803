//! The viewer at 1,000 events/s for a while: long tasks and memory. `npm run soak -- SECONDS [EVENTS_PER_S] [QUERY]`.
//!
//! Prints a line every 10 s and a verdict; ends with 1 where a task took longer than 50 ms after the first 5 s, where memory
//! after a collection grew by more than a tenth between the first and the last third, or where the account is another.

import { launch } from "./harness/browser.ts";
import { Gateway } from "./harness/gateway.ts";
import { publishAt } from "./harness/load.ts";
import { Redis } from "./harness/redis.ts";
import { Viewer } from "./harness/viewer.ts";

const WARM_UP_MS = 5_000;
const TASK_MAX_MS = 50;
const GROWTH_MAX = 1.1;

const seconds = Number(process.argv[2] ?? 600);
const perSecond = Number(process.argv[3] ?? 1_000);
const query = process.argv[4] ?? "&max_rate=5000";
const say = (line: string): boolean => process.stdout.write(`${line}\n`);

interface Watched extends Window {
  longTasks?: { at: number; ms: number }[];
}

const redis = await Redis.start();
const gateway = await Gateway.start({ redis });
const browser = await launch(["--js-flags=--expose-gc"]);
const viewer = await Viewer.open(browser, gateway, "job:soak", query);
const { page, cdp } = viewer.tab;
await page.evaluate(() => {
  const tasks: { at: number; ms: number }[] = [];
  (window as Watched).longTasks = tasks;
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) tasks.push({ at: startTime, ms: duration });
  }).observe({ type: "longtask" });
});
await cdp.send("Performance.enable");
const metric = async (name: string): Promise<number> => {
  const { metrics } = await cdp.send("Performance.getMetrics");
  return metrics.find((one) => one.name === name)?.value ?? Number.NaN;
};
/** Of the heap after a collection, which is no task of the page. */
const heapMib = async (): Promise<number> => {
  await cdp.send("HeapProfiler.collectGarbage");
  return (await metric("JSHeapUsedSize")) / 2 ** 20;
};

const began = await page.evaluate(() => performance.now());
let isOver = false;
const publishing = publishAt(gateway, "job:soak", { perSecond, seconds, chars: 120 }).finally(() => {
  isOver = true;
});
const heaps: number[] = [];
const busyAt = await metric("TaskDuration");
const startedAt = performance.now();
// A collection is a pause of its own: none within the part where tasks are measured.
const isHeapMeasured = seconds > 120;
while (!isOver) {
  await Promise.race([publishing, new Promise((resolve) => setTimeout(resolve, 10_000))]);
  const [nodes, busy] = [await metric("Nodes"), await metric("TaskDuration")];
  const share = (100 * (busy - busyAt) * 1000) / (performance.now() - startedAt);
  const heap = isHeapMeasured ? await heapMib() : (await metric("JSHeapUsedSize")) / 2 ** 20;
  heaps.push(heap);
  const account = await viewer.account();
  say(
    `${Math.round((performance.now() - startedAt) / 1000)} s: ${account?.published} published, ${account?.full} in full, heap ${heap.toFixed(1)} MiB, ${nodes} nodes, main thread ${share.toFixed(0)} %`,
  );
}
await publishing;
const account = await viewer.settled(gateway);
const tasks = await page.evaluate(() => (window as Watched).longTasks ?? []);
const late = tasks.filter(({ at }) => at - began > WARM_UP_MS);
const worst = Math.max(0, ...late.map(({ ms }) => ms));
const third = Math.max(1, Math.floor(heaps.length / 3));
const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const growth = mean(heaps.slice(-third)) / mean(heaps.slice(0, third));
say(JSON.stringify({ ...account, totals: undefined }));
say(
  `tasks over ${TASK_MAX_MS} ms after the first ${WARM_UP_MS / 1000} s: ${late.length}, the worst ${worst.toFixed(0)} ms; before: ${tasks.length - late.length}`,
);
say(
  `heap: ${heaps[0]?.toFixed(1)} MiB at first, ${heaps.at(-1)?.toFixed(1)} MiB at last, thirds ${growth.toFixed(3)} to 1${isHeapMeasured ? "" : " (not collected)"}`,
);
await viewer.close();
await browser.close();
await gateway.end();
await redis.end();
const hasLate = !isHeapMeasured && late.length > 0;
const grew = isHeapMeasured && growth > GROWTH_MAX;
if (hasLate || grew) process.exitCode = 1;
