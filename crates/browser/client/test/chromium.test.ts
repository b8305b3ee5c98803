//! The package as it is built for a page, in a real Chromium and in a web worker, before a real gateway.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Gateway } from "./gateway.js";

let pages: Server;
let gateway: Gateway;
let browser: Browser;
let origin: string;

beforeAll(async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const code = outputFiles[0]?.text ?? "";
  pages = createServer(({ url }, response) => {
    const isCode = url === "/client.js";
    response.setHeader("content-type", isCode ? "text/javascript" : "text/html");
    response.end(isCode ? code : "<!doctype html><title>t</title>");
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  gateway = await Gateway.start("--allow-origin", origin);
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  pages?.close();
});

/** Runs in the page and in the worker: attaches, tells so, and answers with the ledger at this seq. */
const RUN = `async (url, channel, seq, ready) => {
  const { Client } = await import("${"ORIGIN"}/client.js");
  const client = new Client(url);
  const job = await client.subscribe(channel, { maxRate: 10000 }).ready;
  ready();
  while (job.cursor < seq) await new Promise((resolve) => job.on("update", resolve));
  const { ledger } = job;
  const full = [...ledger.full.values()].reduce((a, b) => a + b, 0);
  client.disconnect();
  return { cursor: ledger.cursor, totals: Object.fromEntries(job.totals), closes: ledger.closes(), full,
    violations: client.violations };
}`;

const IN_WORKER = `(url, channel, seq, ready) => new Promise((resolve, reject) => {
  const code = "(RUN)(...ARGS, () => postMessage(null)).then(postMessage)"
    .replace("ARGS", () => JSON.stringify([url, channel, seq])).replace("RUN", () => RUN);
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.onmessage = ({ data }) => (data ? resolve(data) : ready());
})`;

it.each(["page", "worker"])("keeps the ledger in a %s", async (place) => {
  const page = await browser.newPage();
  await page.goto(origin);
  let tell = (): void => {};
  const attached = new Promise<void>((resolve) => {
    tell = resolve;
  });
  await page.exposeFunction("attached", () => tell());
  const run = RUN.replaceAll("ORIGIN", origin);
  const what =
    place === "page" ? `(${run})` : `(() => { const RUN = ${JSON.stringify(run)}; return ${IN_WORKER}; })()`;
  const channel = `job:${place}`;
  const result = page.evaluate(
    `${what}(${JSON.stringify(gateway.url)}, "${channel}", 2000, () => window.attached())`,
  );
  await Promise.race([attached, result]);
  const batch = Array.from({ length: 100 }, (_, n) => ({ kind: n % 3 ? "ok" : "failed", data: { n } }));
  for (let i = 0; i < 20; i++) await gateway.publish(channel, batch);
  const snapshot = await gateway.snapshot(channel);
  expect(await result).toMatchObject({
    cursor: snapshot.seq,
    totals: snapshot.totals,
    closes: true,
    violations: 0,
  });
  await page.close();
});
