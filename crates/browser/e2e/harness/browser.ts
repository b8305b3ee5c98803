//! A real Chromium with a fresh profile, and pages whose errors fail the test that opened them.

import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core";

export const FLAGS: readonly string[] = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface View {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
  readonly scale?: number;
}

/** A tab with what went wrong in it. */
export interface Tab {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly cdp: CDPSession;
  /** Uncaught errors, and errors on the console other than those of a network that a test took away. */
  readonly errors: string[];
  close(): Promise<void>;
}

/** `CHROMIUM`, or Debian's. */
export const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** The caller closes it. */
export const launch = (flags: readonly string[] = []): Promise<Browser> =>
  chromium.launch({
    executablePath: PROGRAM,
    args: [...FLAGS, ...flags],
  });

export const openTab = async (browser: Browser, url: string, view: View = {}): Promise<Tab> => {
  const { width = 1280, height = 800, theme = "light", scale = 1 } = view;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    deviceScaleFactor: scale,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/ERR_|WebSocket|Failed to load resource/.test(message.text()))
      errors.push(message.text());
  });
  const cdp = await context.newCDPSession(page);
  await page.goto(url);
  return { page, context, cdp, errors, close: () => context.close() };
};

/** DevTools' network throttling, also for websockets that are open; null takes it away. */
export const throttleNetwork = async ({ cdp }: Tab, bytesPerSecond: number | null): Promise<void> => {
  await cdp.send("Network.enable");
  const throughput = bytesPerSecond ?? -1;
  await cdp.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: throughput,
    uploadThroughput: throughput,
  });
};
