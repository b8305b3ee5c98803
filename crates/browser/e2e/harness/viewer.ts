//! The viewer as a test sees it: its account, its badge, its rows; and the account of the broker to compare with.

import type { Browser } from "playwright-core";
import { openTab, type Tab, type View } from "./browser.ts";
import type { Gateway } from "./gateway.ts";
import { until } from "./until.ts";

/** What `window.tally.account()` gives. */
export interface Account {
  readonly channel: string;
  readonly epoch: string | null;
  readonly published: number;
  readonly attached: number;
  readonly full: number;
  readonly counted: number;
  readonly summarised: number;
  readonly closes: boolean;
  readonly totals: Readonly<Record<string, number>>;
  readonly whys: Readonly<Record<string, number>>;
}

interface Exposed {
  readonly tally?: {
    account(channel?: string): Account | null;
    readonly shown: {
      readonly value: { readonly log: { readonly rows: readonly { readonly text: string }[] } } | null;
    };
    readonly client: { readonly state: string; readonly violations: number };
  };
}

export class Viewer {
  private constructor(
    readonly tab: Tab,
    readonly channel: string,
  ) {}

  /** A tab with one channel, attached. */
  static async open(
    browser: Browser,
    gateway: Gateway,
    channel: string,
    query = "",
    view: View = {},
  ): Promise<Viewer> {
    const tab = await openTab(
      browser,
      `${gateway.url}/?channel=${encodeURIComponent(channel)}${query}`,
      view,
    );
    const viewer = new Viewer(tab, channel);
    await until("the attach", () => viewer.account());
    return viewer;
  }

  /** A tab that a test opened and led there itself. */
  static of(tab: Tab, channel: string): Viewer {
    return new Viewer(tab, channel);
  }

  account(): Promise<Account | null> {
    return this.tab.page.evaluate(
      (channel) => (window as Exposed).tally?.account(channel) ?? null,
      this.channel,
    );
  }

  /** What the badge says of the rung: `full`, `counts`, `summary`. */
  rung(): Promise<string | null> {
    return this.tab.page.locator(".rung").getAttribute("data-rung");
  }

  link(): Promise<string | undefined> {
    return this.tab.page.evaluate(() => (window as Exposed).tally?.client.state);
  }

  /** Whether a row that is drawn now has this text. */
  async shows(text: string | RegExp): Promise<boolean> {
    return (await this.tab.page.locator(".row", { hasText: text }).count()) > 0;
  }

  /** Whether a row of the log has this text, drawn now or not. */
  async logs(text: string): Promise<boolean> {
    const rows = await this.tab.page.evaluate(
      () => (window as Exposed).tally?.shown.value?.log.rows.map((row) => row.text) ?? [],
    );
    return rows.some((row) => row.includes(text));
  }

  /**
   * Waits until the page is where the broker is, and gives both accounts. They are equal then, kind by kind; the page
   * shows the same numbers and says that they close; nothing broke a law, and nothing went wrong on the way.
   */
  async settled(gateway: Gateway): Promise<Account> {
    const account = await until("the page to be where the broker is", async () => {
      const [snapshot, own] = [await gateway.snapshot(this.channel), await this.account()];
      return own !== null && snapshot !== null && own.published === snapshot.seq ? { snapshot, own } : null;
    });
    const { snapshot, own } = account;
    const differs = (what: string): never => {
      throw new Error(`${what}: ${JSON.stringify(own)} and the broker's ${JSON.stringify(snapshot)}`);
    };
    const kinds = new Set([...Object.keys(own.totals), ...Object.keys(snapshot.totals)]);
    for (const kind of kinds)
      if (own.totals[kind] !== snapshot.totals[kind]) differs(`totals of ${kind} differ`);
    if (own.epoch !== snapshot.epoch) differs("epochs differ");
    if (own.attached + own.full + own.counted + own.summarised !== snapshot.seq)
      differs("the sum is another");
    if (!own.closes) differs("the page's account does not close");
    const shown = `${new Intl.NumberFormat("en").format(snapshot.seq)}published`;
    await until("the page to show it", async () => {
      const { page } = this.tab;
      const text = ((await page.locator(".term.published").textContent()) ?? "").replace(/\s+/g, "");
      return text === shown && (await page.locator(".account").getAttribute("data-closes")) === "true";
    });
    const violations = await this.tab.page.evaluate(() => (window as Exposed).tally?.client.violations);
    if (violations !== 0) differs(`${violations} violations`);
    if (this.tab.errors.length > 0) throw new Error(`errors in the page: ${this.tab.errors.join("; ")}`);
    return own;
  }

  close(): Promise<void> {
    return this.tab.close();
  }
}
