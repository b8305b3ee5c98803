//! Asks gateways, and brings the parts of their answers together. Bounded: ASKS_MAX at once, PARTS_MAX per answer.

import { ANSWER_MAX_MS, ASK_AGAIN_MS, ASKS_MAX, PARTS_MAX } from "../bounds.js";
import type { Answer } from "../shape/answer.js";
import { isObject, object, text } from "../shape/json.js";
import type { Link, Order } from "./link.js";

/** Why there is no answer, in words for the page. */
export class AskError extends Error {
  override readonly name = "AskError";
}

export interface Asked {
  /** The parts of each gateway that answered whole, in order. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  /** Gateways that were waited for in vain. */
  readonly missing: readonly string[];
}

/** These change something: they are posted once, whatever becomes of them. */
const ORDERS: ReadonlySet<string> = new Set(["reconnect", "disconnect", "drain"]);

/** Posts one ask; resolves when the broker has it. */
export type Post = (body: Record<string, unknown>) => Promise<void>;

export class Asker {
  readonly #giveUp = new Set<() => void>();

  constructor(
    private readonly link: Pick<Link, "answers">,
    private readonly post: Post,
  ) {}

  /**
   * Asks one gateway, or (null) whoever is meant by that, and waits for the gateways in `wanted`; empty: for whoever
   * answers first. Rejects with an {@link AskError} where nobody did.
   */
  async ask(order: Order, gateway: string | null, wanted: readonly string[]): Promise<Asked> {
    if (this.#giveUp.size >= ASKS_MAX) {
      const [oldest] = this.#giveUp;
      oldest?.();
    }
    const gathering = new Gathering(wanted);
    const giveUp = () => gathering.end("given up for newer questions");
    this.#giveUp.add(giveUp);
    const timer = setTimeout(() => gathering.end(null), ANSWER_MAX_MS);
    let again: ReturnType<typeof setInterval> | undefined;
    let leave: (() => void) | null = null;
    try {
      const ask = drawId();
      const heard = this.link.answers(ask, (answer) => gathering.take(answer));
      // Whoever gives up while the subscription is on its way lets go of it when it is there.
      heard.then(
        (end) => (gathering.isOver ? end() : undefined),
        () => undefined,
      );
      leave = await Promise.race([heard, gathering.over.then(() => null)]);
      if (leave === null) return await gathering.over;
      const post = () => this.post({ ask, gateway, ...order });
      await post();
      // An answer that comes twice is the same answer. What a repetition is refused for, the first one would be told.
      if (!ORDERS.has(order.what)) again = setInterval(() => post().catch(() => undefined), ASK_AGAIN_MS);
      return await gathering.over;
    } finally {
      clearTimeout(timer);
      clearInterval(again);
      this.#giveUp.delete(giveUp);
      gathering.end("over");
      leave?.();
    }
  }
}

/** What has come of one ask. */
class Gathering {
  readonly over: Promise<Asked>;
  isOver = false;
  readonly #parts = new Map<string, Map<number, Answer>>();
  readonly #whole = new Map<string, readonly Answer[]>();
  #resolve: (asked: Asked) => void = () => undefined;
  #reject: (error: AskError) => void = () => undefined;

  constructor(private readonly wanted: readonly string[]) {
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.over.catch(() => undefined);
  }

  take(answer: Answer): void {
    if (this.isOver || answer.parts > PARTS_MAX) return;
    const parts = this.#parts.get(answer.gateway) ?? new Map<number, Answer>();
    this.#parts.set(answer.gateway, parts.set(answer.part, answer));
    if (parts.size < answer.parts && answer.ok) return;
    const inOrder = [...parts.values()].sort((a, b) => a.part - b.part);
    this.#whole.set(answer.gateway, answer.ok ? inOrder : [answer]);
    if (this.#missing().length === 0) this.end(null);
  }

  /** `reason` null: nobody else is waited for. */
  end(reason: string | null): void {
    if (this.isOver) return;
    this.isOver = true;
    if (reason === null && this.#whole.size > 0) {
      this.#resolve({ answers: this.#whole, missing: this.#missing() });
    } else {
      const whom = this.wanted.length > 0 ? this.wanted.join(", ") : "the gateway";
      const seconds = ANSWER_MAX_MS / 1000;
      this.#reject(
        new AskError(reason ?? `no answer from ${whom} within ${seconds} s; it may be gone or busy`),
      );
    }
  }

  #missing(): string[] {
    return this.wanted.filter((id) => !this.#whole.has(id));
  }
}

const drawId = (): string => {
  const drawn = crypto.getRandomValues(new Uint8Array(16));
  return [...drawn].map((byte) => (byte % 36).toString(36)).join("");
};

/** Posts to the gateway that served the page, or to `base`. */
export const postTo =
  (base: string): Post =>
  async (body) => {
    let response: Response;
    try {
      response = await fetch(`${base}/ops/ask`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MAX_MS),
      });
    } catch {
      throw new AskError("the gateway did not take the question: it cannot be reached");
    }
    if (response.ok) return;
    const told: unknown = await response.json().catch(() => null);
    const nested = isObject(told) ? object(told.error) : {};
    const message = isObject(told) ? text(nested.message) || text(told.message) : "";
    throw new AskError(message || `the gateway refused the question (HTTP ${response.status})`);
  };
