//! The page's model: what was heard, where the page is, what was asked; and the signals that views read.
//!
//! Views are redrawn once a second (`tick`), not with every sample: figures of all gateways change together, and the
//! page costs the same however many gateways speak.

import { batch, computed, signal } from "@preact/signals";
import type { ClientOptions } from "tally-client";
import { DETAIL_STALE_MS, HISTORY_AGAIN_MS, HISTORY_LATE_MS } from "./bounds.js";
import { AskError, Asker, postTo } from "./link/ask.js";
import { type Deaf, Link, type Order } from "./link/link.js";
import { between, ChangeLog, lastHour } from "./model/change.js";
import { foreign, mergeChannels, mergeUnheard } from "./model/channels.js";
import { slowestFirst } from "./model/connections.js";
import { Fleet, type Gateway, isListed, type Presence, presenceOf } from "./model/fleet.js";
import type { Series, Step } from "./model/series.js";
import { HOME, RANGES, type Route } from "./route.js";
import { type Answer, readHistory } from "./shape/answer.js";
import type { Detail } from "./shape/detail.js";
import type { Sample } from "./shape/sample.js";

export interface Listed {
  readonly gateway: Gateway;
  readonly presence: Presence;
}

export interface Notice {
  readonly id: number;
  readonly good: boolean;
  readonly text: string;
}

/** What an order does, and to whom, until it is confirmed. */
export interface Confirming {
  readonly order: Order;
  readonly gateway: string;
  readonly title: string;
  readonly text: string;
  readonly verb: string;
  readonly done: string;
}

export type HistoryState = "absent" | "loading" | "loaded" | { readonly failed: string };

/** Notices shown at once; the oldest goes. */
const NOTICES_MAX = 3;
const TICK_MS = 1_000;
/** Changes are read anew this often, in ticks: that walks an hour of every gateway. */
const CHANGES_EVERY = 5;

export class Page {
  readonly route = signal<Route>(HOME);
  readonly now = signal(Date.now());
  readonly deaf = signal<Deaf | null>({ is: "connecting", reason: "", retryAt: null });
  /** When the page last heard any sample, ms. 0: never. */
  readonly heardAt = signal(0);
  readonly notices = signal<readonly Notice[]>([]);
  readonly confirming = signal<Confirming | null>(null);
  readonly histories = signal<ReadonlyMap<Step, HistoryState>>(new Map());
  readonly trouble = signal<string | null>(null);
  readonly #tick = signal(0);
  readonly #fleet = new Fleet();
  readonly #changes = new ChangeLog();
  readonly #details = new Map<string, { readonly detail: Detail; readonly at: number }>();
  readonly #link: Link;
  readonly #asker: Asker;
  readonly #timer: ReturnType<typeof setInterval>;
  #listeningSince = 0;
  #deafSince = 0;
  #noticeId = 0;
  #historyTimer: ReturnType<typeof setTimeout> | undefined;
  #lateTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(base: string, options: Pick<ClientOptions, "webSocket" | "reconnect"> = {}) {
    this.#link = new Link(
      base,
      {
        sample: (sample) => this.#handleSample(sample),
        leaving: (id) => this.#fleet.leave(id),
        detail: (detail) => this.#handleDetail(detail),
        deaf: (deaf) => this.#handleDeaf(deaf),
        trouble: (what) => {
          this.trouble.value = what;
        },
      },
      options,
    );
    this.#asker = new Asker(this.#link, postTo(base));
    this.#timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** All gateways that are held, read once per tick; the charts' lines are made of them. */
  readonly gateways = computed<readonly Gateway[]>(() => {
    this.#tick.value;
    return this.#fleet.all();
  });

  /** The gateways of the table, those that speak first. */
  readonly listed = computed<readonly Listed[]>(() => {
    const now = this.now.value;
    return this.gateways.value
      .filter((gateway) => isListed(gateway, now))
      .map((gateway) => ({ gateway, presence: this.presence(gateway) }));
  });

  /** The newest samples of the gateways that speak. */
  readonly samples = computed<readonly Sample[]>(() =>
    this.listed.value.flatMap(({ gateway, presence }) =>
      gateway.sample !== null && presence !== "gone" && presence !== "silent" ? [gateway.sample] : [],
    ),
  );

  readonly details = computed<readonly Detail[]>(() => {
    this.#tick.value;
    return [...this.#details.values()].map(({ detail }) => detail);
  });

  readonly channels = computed(() =>
    foreign(mergeChannels(this.details.value.map((it) => [it.gateway, it.channels] as const))),
  );
  readonly unheard = computed(() => foreign(mergeUnheard(this.details.value)));
  readonly connections = computed(() => slowestFirst(this.details.value));

  readonly #changesTick = computed(() => Math.floor(this.#tick.value / CHANGES_EVERY));
  readonly changes = computed(() => {
    this.#changesTick.value;
    return lastHour(this.#fleet.all(), this.#changes, (it) => this.presence(it), Date.now());
  });

  presence(gateway: Gateway): Presence {
    const now = this.now.peek();
    // A page that hears nothing cannot say that others are silent: they stay as they were.
    const until = this.deaf.peek() === null ? now : Math.min(now, this.#deafSince);
    return presenceOf(gateway, until, this.#listeningSince);
  }

  nameOf(id: string): string {
    return this.#fleet.get(id)?.name ?? id;
  }

  gateway(id: string): Gateway | undefined {
    this.#tick.value;
    return this.#fleet.get(id);
  }

  /** The series of one gateway, or of all. */
  series(id: string | null): Series[] {
    return this.gateways.value.filter((it) => id === null || it.id === id).map((it) => it.series);
  }

  go(to: Partial<Route>): void {
    this.route.value = { ...this.route.value, ...to };
    this.#wantHistory(RANGES[this.route.value.range].step);
  }

  retry(): void {
    this.#link.retry();
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#historyTimer);
    clearTimeout(this.#lateTimer);
    this.#link.close();
  }

  /** Asks, and waits for the gateways that should answer; null: all that speak. */
  async ask(order: Order, gateway: string | null): Promise<ReadonlyMap<string, readonly Answer[]>> {
    const speaking = this.listed
      .peek()
      .filter((it) => it.presence === "running" || it.presence === "draining");
    const wanted = gateway === null ? speaking.map((it) => it.gateway.id) : [gateway];
    const { answers } = await this.#asker.ask(order, gateway, wanted);
    return answers;
  }

  /** Carries out what was confirmed, and says how it went. */
  async carryOut({ order, gateway, done }: Confirming): Promise<void> {
    this.confirming.value = null;
    try {
      const answers = await this.ask(order, gateway);
      const [answer] = answers.get(gateway) ?? [];
      if (answer?.ok) this.notice(true, done);
      else this.notice(false, answer?.error ?? `${this.nameOf(gateway)} did not say how it went`);
    } catch (error) {
      this.notice(false, wordsOf(error));
    }
  }

  notice(good: boolean, text: string): void {
    this.notices.value = [...this.notices.value, { id: ++this.#noticeId, good, text }].slice(-NOTICES_MAX);
  }

  dismiss(id: number): void {
    this.notices.value = this.notices.value.filter((notice) => notice.id !== id);
  }

  /** Once a second; also called where something must be seen at once. */
  tick(): void {
    const now = Date.now();
    this.#fleet.expire(now);
    if (this.deaf.peek() === null) {
      for (const [id, { at }] of this.#details) if (now - at > DETAIL_STALE_MS) this.#details.delete(id);
    }
    batch(() => {
      this.now.value = now;
      this.#tick.value += 1;
    });
    const speaking = this.listed.peek().filter(({ presence }) => presence !== "gone");
    this.#link.listenTo(new Set(speaking.map(({ gateway }) => gateway.id)));
  }

  #handleSample(sample: Sample): void {
    const now = Date.now();
    const isFirst = this.#fleet.get(sample.gateway)?.sample == null;
    if (!this.#fleet.take(sample, now)) return;
    this.heardAt.value = now;
    this.#changes.push(between(this.#fleet.get(sample.gateway)?.before ?? null, sample, now));
    if (isFirst) this.tick();
  }

  #handleDetail(detail: Detail): void {
    if (this.#fleet.get(detail.gateway) === undefined) return;
    const isFirst = !this.#details.has(detail.gateway);
    this.#details.set(detail.gateway, { detail, at: Date.now() });
    if (isFirst) this.tick();
  }

  #handleDeaf(deaf: Deaf | null): void {
    const before = this.deaf.peek();
    if (deaf === null && before === null) return;
    if (JSON.stringify(deaf) === JSON.stringify(before)) return;
    this.deaf.value = deaf;
    if (deaf !== null) {
      if (before === null) this.#deafSince = Date.now();
      return;
    }
    // What was said meanwhile was missed; a gateway remembers it.
    this.#listeningSince = Date.now();
    this.histories.value = new Map();
    this.#wantHistories();
    clearTimeout(this.#lateTimer);
    this.#lateTimer = setTimeout(() => {
      if (this.histories.peek().get(10) === "loaded") this.#setHistory(10, "absent");
      this.#wantHistory(10);
    }, HISTORY_LATE_MS);
  }

  /** That of the charts, and that of the last hour's changes. */
  #wantHistories(): void {
    this.#wantHistory(10);
    this.#wantHistory(RANGES[this.route.peek().range].step);
  }

  #wantHistory(step: Step): void {
    const state = this.histories.peek().get(step) ?? "absent";
    if (this.deaf.peek() !== null || state === "loading" || state === "loaded") return;
    this.#setHistory(step, "loading");
    this.#loadHistory(step).then(
      () => this.#setHistory(step, "loaded"),
      (error) => {
        this.#setHistory(step, { failed: wordsOf(error) });
        clearTimeout(this.#historyTimer);
        this.#historyTimer = setTimeout(() => this.#wantHistories(), HISTORY_AGAIN_MS);
      },
    );
  }

  async #loadHistory(step: Step): Promise<void> {
    const now = Date.now();
    const slots = step === 1 ? 300 : 360;
    const order = { what: "history", from_ms: now - slots * step * 1000, to_ms: now, step };
    // Nobody else is waited for: the gateway that was asked answers for all.
    const { answers } = await this.#asker.ask(order, null, []);
    for (const parts of answers.values()) {
      const wrong = parts.find((part) => !part.ok);
      if (wrong !== undefined) throw new AskError(wrong.error ?? "the gateway could not tell");
      for (const part of parts) {
        const { step: told, gateways } = readHistory(part);
        for (const one of gateways) this.#fleet.fill(told, one, part.gateway, now);
      }
    }
    this.tick();
  }

  #setHistory(step: Step, state: HistoryState): void {
    this.histories.value = new Map(this.histories.value).set(step, state);
  }
}

export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
