//! The page's ear: one client of the public wire that listens to Tally's own channels, and says when it is deaf.

import { Client, type ClientOptions, type Subscription, type TallyEvent } from "tally-client";
import { type Answer, readAnswer } from "../shape/answer.js";
import { type Detail, readDetail } from "../shape/detail.js";
import { type Json, object, text } from "../shape/json.js";
import { readSample, type Sample } from "../shape/sample.js";

/** Why nothing is heard, or not everything. */
export type Deaf =
  | { readonly is: "connecting"; readonly reason: string; readonly retryAt: number | null }
  | { readonly is: "ended"; readonly reason: string }
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "reduced"; readonly reason: string }
  | { readonly is: "upstream"; readonly since: number | null };

export interface LinkHandlers {
  sample(sample: Sample): void;
  leaving(gateway: string): void;
  detail(detail: Detail): void;
  /** Null: everything is heard from now on. */
  deaf(deaf: Deaf | null): void;
  /** Something on Tally's own channels could not be read, or a law was broken. */
  trouble(what: string): void;
}

/** Events per second that are wanted of one channel: 64 gateways say one each. */
const RATE = 1_000;

export class Link {
  readonly #client: Client;
  readonly #details = new Map<string, Subscription>();
  readonly #samples: Subscription;
  #refused: string | null = null;

  constructor(
    url: string,
    private readonly handlers: LinkHandlers,
    options: Pick<ClientOptions, "webSocket" | "reconnect"> = {},
  ) {
    // A hidden page goes on: it is one small event per gateway and second, and what it missed would be a hole.
    this.#client = new Client(url, { ...options, handOver: "now", hidden: "keep", connect: false });
    this.#samples = this.#client.subscribe("$gateways", { maxRate: RATE });
    this.#samples.on("events", ({ events }) => this.#handleSamples(events));
    this.#samples.on("update", () => this.#tellDeaf());
    this.#samples.on("error", ({ message }) => this.#refuse(message));
    this.#samples.on("unsubscribed", ({ code }) =>
      this.#refuse(`the subscription of $gateways ended: ${code}`),
    );
    this.#client.on("state", () => this.#tellDeaf());
    this.#client.on("upstream", () => this.#tellDeaf());
    this.#client.on("violation", (violation) => handlers.trouble(`a law was broken: ${violation.message}`));
    this.#client.connect();
  }

  /** Listens to the details of exactly these gateways. */
  listenTo(ids: ReadonlySet<string>): void {
    for (const [id, held] of this.#details) {
      if (ids.has(id) && !held.isOver) continue;
      held.unsubscribe();
      this.#details.delete(id);
    }
    for (const id of ids) if (!this.#details.has(id)) this.#listen(id);
  }

  /** Hears the answers to one ask; the promise is fulfilled when nothing said from now on is missed. */
  async answers(ask: string, handle: (answer: Answer) => void): Promise<() => void> {
    const held = this.#client.subscribe(`$answers:${ask}`, { maxRate: RATE });
    held.on("events", ({ events }) => {
      for (const event of events) {
        const answer = event.kind === "answer" ? readAnswer(event.data) : null;
        if (answer !== null && answer.ask === ask) handle(answer);
      }
    });
    try {
      await held.ready;
    } catch (error) {
      held.unsubscribe();
      throw error;
    }
    return () => held.unsubscribe();
  }

  retry(): void {
    this.#client.connect();
  }

  close(): void {
    this.#client.disconnect();
  }

  #listen(id: string): void {
    let held: Subscription;
    try {
      held = this.#client.subscribe(`$gateway:${id}`, { maxRate: RATE });
    } catch (error) {
      this.handlers.trouble(`${id} cannot be listened to: ${error instanceof Error ? error.message : error}`);
      return;
    }
    this.#details.set(id, held);
    held.on("events", ({ events }) => {
      for (const { kind, data } of events) {
        const detail = kind === "detail" ? readDetail(data) : null;
        if (detail !== null) this.handlers.detail(detail);
      }
    });
  }

  #handleSamples(events: readonly TallyEvent[]): void {
    for (const { kind, data } of events) {
      if (kind === "leaving") this.handlers.leaving(text(object(data).gateway));
      if (kind !== "sample") continue;
      const sample = readSample(data);
      if (sample === null)
        this.handlers.trouble("a sample could not be read: its gateway or time is missing");
      else this.handlers.sample(sample);
    }
  }

  #refuse(reason: string): void {
    // The first words say why; that the subscription ended follows from it.
    this.#refused ??= reason;
    this.#tellDeaf();
  }

  #tellDeaf(): void {
    this.handlers.deaf(this.#deafness());
  }

  #deafness(): Deaf | null {
    const { status, reason, retryInMs } = this.#client.detail;
    if (this.#refused !== null) return { is: "refused", reason: this.#refused };
    if (status === "disconnected") return { is: "ended", reason };
    if (status === "connecting") {
      return { is: "connecting", reason, retryAt: retryInMs === null ? null : Date.now() + retryInMs };
    }
    if (this.#samples.upstream !== "up") return { is: "upstream", since: null };
    if (!this.#samples.isAttached) return { is: "connecting", reason: "", retryAt: null };
    if (this.#samples.rung !== "full") {
      return {
        is: "reduced",
        reason: `this page gets ${this.#samples.rung} only: it, or its network, is too slow`,
      };
    }
    return null;
  }
}

export type Order = Json & { readonly what: string };
