//! The page as a whole: one client, the index of jobs, the listed jobs' counts, the channel that is shown, notices.

import { signal } from "@preact/signals";
import {
  Client,
  type ClientState,
  isChannel,
  type State,
  type Subscription,
  type TallyEvent,
} from "tally-client";
import { INDEX_LAST, NOTICES_MAX } from "../limits";
import { plain } from "./account";
import { startClock, touch } from "./beat";
import { Channel } from "./channel";
import { Jobs } from "./jobs";
import { Samples } from "./samples";

/** The channel that tells of jobs. */
export const INDEX = "jobs";

/** What is known of a listed job beyond the index. */
export interface Listed {
  readonly subscription: Subscription;
  readonly samples: Samples;
}

export interface Notice {
  readonly id: number;
  readonly text: string;
}

export class App {
  readonly client: Client;
  readonly jobs = new Jobs();
  readonly listed = new Map<string, Listed>();
  readonly link = signal<ClientState>({ status: "connecting", code: null, reason: "", retryInMs: null });
  /** When the link was lost, or the page began. */
  readonly linkSince = signal(Date.now());
  /** The gateway's link to the broker: when it was lost, by the gateway's clock; null: it is there. */
  readonly brokerAway = signal<number | null>(null);
  readonly shown = signal<Channel | null>(null);
  /** The channel that the address names. */
  readonly route = signal<string | null>(null);
  readonly notices = signal<readonly Notice[]>([]);
  readonly #index: Subscription;
  readonly #maxRate: number | null;
  #hiddenAt = Number.NEGATIVE_INFINITY;
  /** The channel that was shown before: the list goes on with what is known of its speed. */
  #left: Channel | null = null;
  #noticeId = 0;
  #opening = 0;

  constructor() {
    const rate = Number(new URLSearchParams(location.search).get("max_rate"));
    this.#maxRate = Number.isSafeInteger(rate) && rate > 0 ? rate : null;
    this.client = new Client(new URL(".", location.href).href);
    this.client.on("state", (state) => this.#handleLink(state));
    this.client.on("upstream", ({ status, since, channels }) => {
      if (channels === null || status === "up") this.brokerAway.value = status === "down" ? since : null;
    });
    this.client.on("error", ({ message, channel }) => {
      if (channel === null || channel !== this.shown.value?.name) this.say(message);
    });
    this.client.on("goodbye", ({ reason }) => this.say(`The gateway says goodbye: ${reason}`));
    this.client.on("overload", ({ rung }) => {
      if (rung !== "full")
        this.say("This page cannot keep up and asked for less detail; the counts stay exact");
    });
    document.addEventListener("visibilitychange", () => {
      this.#hiddenAt = Date.now();
    });
    this.#index = this.client.subscribe(INDEX, { last: INDEX_LAST });
    this.#index.on("events", ({ events }) => this.#handleIndex(events));
    this.#index.on("state", ({ state }) => this.#handleIndex(state ? [state] : []));
    this.#index.on("subscribed", touch);
    window.addEventListener("popstate", () => this.#followAddress());
    this.#followAddress();
    startClock(() => this.#sample());
  }

  /** Whether jobs can be known yet. */
  get isIndexLoading(): boolean {
    return this.#index.ledger === null;
  }

  /** The account of a channel as plain numbers: for tests, and for the curious. */
  account(channel = this.shown.value?.name): object | null {
    const held = this.shown.value?.name === channel ? this.shown.value?.subscription : null;
    const ledger = (held ?? this.listed.get(channel ?? "")?.subscription)?.ledger;
    return ledger ? plain(ledger) : null;
  }

  /** Shows a channel, and puts it into the address. */
  open(channel: string | null): void {
    const url = new URL(location.href);
    if (channel === null) url.searchParams.delete("channel");
    else url.searchParams.set("channel", channel);
    history.pushState(null, "", url);
    this.#followAddress();
  }

  say(text: string): void {
    const notice = { id: ++this.#noticeId, text };
    this.notices.value = [...this.notices.value, notice].slice(-NOTICES_MAX);
    setTimeout(() => this.dismiss(notice.id), 10_000);
  }

  dismiss(id: number): void {
    this.notices.value = this.notices.value.filter((notice) => notice.id !== id);
  }

  #handleLink(state: ClientState): void {
    const was = this.link.value.status;
    if (was !== state.status || this.link.value.retryInMs === null) this.linkSince.value = Date.now();
    this.link.value = state;
    // A new connection says by itself that the broker is away.
    if (state.status !== "connected") this.brokerAway.value = null;
    touch();
  }

  #followAddress(): void {
    const name = new URLSearchParams(location.search).get("channel");
    const channel = isChannel(name) ? name : null;
    if (name !== null && channel === null)
      this.say(`${name.slice(0, 60)} is no channel: 1 to 200 of A-Z a-z 0-9 . _ : @ ~ = + , -`);
    this.route.value = channel;
    this.#show(channel);
  }

  /** What the list holds of it is let go first: only a first attach brings the newest events. */
  #show(name: string | null): void {
    const before = this.shown.value;
    if (before?.name === name) return;
    const samples = this.listed.get(name ?? "")?.samples ?? new Samples();
    const turn = ++this.#opening;
    before?.close();
    this.shown.value = null;
    this.#left = before;
    if (name !== null) {
      this.#unlist(name);
      // Not in this tick, in which letting go and listening again would cancel each other out.
      setTimeout(() => {
        if (turn !== this.#opening) return;
        const wasHidden = (): boolean => document.hidden || Date.now() - this.#hiddenAt < 6_000;
        this.shown.value = new Channel(this.client, name, this.#maxRate, samples, touch, wasHidden);
        this.#list();
      });
    }
    this.#list();
    touch();
  }

  #handleIndex(events: readonly (TallyEvent | State)[]): void {
    for (const event of events) this.jobs.handle(event);
    this.#list();
    touch();
  }

  /** Listens at counts to every job that is listed, and to no other. */
  #list(): void {
    const wanted = new Set(this.jobs.listed().jobs.map((job) => job.channel));
    wanted.delete(this.route.value ?? "");
    for (const channel of this.listed.keys()) if (!wanted.has(channel)) this.#unlist(channel);
    for (const channel of wanted) {
      if (this.listed.has(channel)) continue;
      const subscription = this.client.subscribe(channel, { rung: "counts", tickMs: 1000 });
      subscription.on("update", touch);
      const samples = this.#left?.name === channel ? this.#left.samples : new Samples();
      this.listed.set(channel, { subscription, samples });
    }
  }

  #unlist(channel: string): void {
    this.listed.get(channel)?.subscription.unsubscribe();
    this.listed.delete(channel);
  }

  #sample(): void {
    const now = Date.now();
    for (const { subscription, samples } of this.listed.values())
      samples.look(subscription.ledger?.cursor ?? null, now);
    const { value: shown } = this.shown;
    shown?.samples.look(shown.subscription.ledger?.cursor ?? null, now);
  }
}
