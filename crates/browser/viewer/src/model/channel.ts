//! One channel that is shown: its subscription, its log, and what is to be said about it.

import {
  type Client,
  type Rung,
  type Subscription,
  SubscriptionError,
  type Update,
  type Why,
} from "tally-client";
import { CHANNEL_LAST } from "../limits";
import { Log, type SpanForm } from "./log";
import type { Samples } from "./samples";
import { clock, number, type Reason, rungNote } from "./words";

export class Channel {
  readonly log = new Log();
  readonly subscription: Subscription;
  /** The rung that the reader wants. */
  wanted: Rung = "full";
  /** Why it is not `full`; null where it is, or nobody said. */
  reason: Reason | null = null;
  /** Before the first attach. */
  isLoading = true;
  /** The gateway ended it, or refused it: a sentence. */
  refusal: string | null = null;
  /** Ledgers that ended with a reset or a violation. */
  resets = 0;
  #isBusy = false;
  /** Up to where the log has everything: the ledger may be further already. */
  #told = 0;

  constructor(
    client: Client,
    readonly name: string,
    maxRate: number | null,
    /** What the list has seen of its speed, if it was listed. */
    readonly samples: Samples,
    private readonly changed: () => void,
    /** When the tab was last hidden; null: not since the channel was opened. */
    private readonly wasHidden: () => boolean,
  ) {
    const rate = maxRate === null ? {} : { maxRate };
    this.subscription = client.subscribe(name, { tail: true, last: CHANNEL_LAST, ...rate });
    this.subscription.on("update", (update) => {
      this.#handle(update);
      this.changed();
    });
    this.subscription.ready.catch((error: unknown) => {
      this.isLoading = false;
      this.refusal ??= error instanceof SubscriptionError ? error.message : String(error);
      this.changed();
    });
  }

  want(rung: Rung): void {
    this.wanted = rung;
    this.subscription.change({ rung });
    this.changed();
  }

  close(): void {
    this.subscription.unsubscribe();
  }

  #note(tone: "info" | "good" | "warn" | "bad", text: string): void {
    this.log.addNote(tone, text, Date.now());
  }

  #handle(update: Update): void {
    switch (update.type) {
      case "subscribed":
        this.isLoading = false;
        this.reason = update.rung === "full" ? null : this.#reasonOf("asked");
        if (update.continuity === "new") this.#told = this.subscription.since?.seq ?? 0;
        if (update.continuity === "resumed") {
          this.#note(
            "good",
            `Resumed at ${number(this.#told)}: what came meanwhile follows, nothing is missing`,
          );
        } else if (update.continuity === "pending") {
          this.#note(
            "warn",
            "The gateway cannot reach the broker yet; the channel is attached as soon as it can",
          );
        }
        break;
      case "events":
        this.log.addEvents(update.from, update.events);
        this.#told = update.to;
        break;
      case "counts":
        this.#addSpan("counted", update, this.#reasonOf(update.why), update.tail);
        break;
      case "summary":
        this.#addSpan("summarised", update, this.#reasonOf(update.why), null);
        break;
      case "skipped":
        this.#addSpan("skipped", update, "busy", null);
        break;
      case "rung":
        this.reason = update.rung === "full" ? null : this.#reasonOf(update.why);
        this.#note("info", rungNote(update.rung, this.reason, this.subscription.maxRate));
        break;
      case "reset": {
        this.resets++;
        const { since, closed } = update;
        this.#told = since.seq;
        const ended = closed
          ? `the account so far ended at ${number(closed.cursor)}`
          : "the account so far has ended";
        this.#note(
          "bad",
          `Reset: the broker lost a part of this channel; ${ended}, a new one starts at ${number(since.seq)}`,
        );
        break;
      }
      case "upstream":
        if (update.status === "up") this.#note("good", "The broker is back; what was missed is counted");
        else
          this.#note(
            "bad",
            `The gateway cannot reach the broker${update.since ? ` since ${clock(update.since)}` : ""}; nothing new comes meanwhile`,
          );
        break;
      case "unnumbered":
        this.log.addUnnumbered(update.events, update.dropped, Date.now());
        break;
      case "error":
        this.refusal = update.message;
        this.#note("bad", update.message);
        break;
      case "violation":
        this.resets++;
        this.#note(
          "bad",
          `A frame broke the law of ${update.violation.law}: ${update.violation.detail}. The gateway was told; a new account begins`,
        );
        break;
      case "overload":
        this.#isBusy = update.rung !== "full";
        break;
      case "unsubscribed":
        if (update.code !== "asked") this.#note("bad", `The gateway ended this subscription: ${update.code}`);
    }
  }

  #addSpan(
    form: SpanForm,
    { from, to, counts }: { from: number; to: number; counts: ReadonlyMap<string, number> },
    reason: Reason,
    tail: Parameters<Log["addSpan"]>[0]["tail"],
  ): void {
    this.log.addSpan({ form, reason, from, to, counts, tail }, Date.now());
    this.#told = to;
  }

  /** `asked` where it was not the reader who asked. */
  #reasonOf(why: Why): Reason {
    if (why !== "asked" || this.wanted !== "full") return why;
    if (this.#isBusy) return "busy";
    return this.wasHidden() ? "hidden" : why;
  }
}
