//! The golden vectors: what is decoded is what they say, and what is encoded is theirs byte for byte.

import { describe, expect, it, test } from "vitest";
import { Account } from "../src/account.js";
import { CLOSE_CODES, comesBack } from "../src/close.js";
import { decode } from "../src/decode.js";
import type { ClientFrame, SubscribeChannel } from "../src/frame.js";
import { Ledger, type LedgerView, Violation } from "../src/ledger.js";
import { isChannel, isEpoch, isKind } from "../src/names.js";
import type { Totals } from "../src/totals.js";
import { checkWish, type SubscribeOptions } from "../src/wish.js";
import { cases, files } from "./vectors.js";

test("every vector file is run here, or is not of a subscriber", () => {
  const run = ["client_frames", "close_codes", "ledger", "names", "server_frames"];
  // What a producer posts, and what goes through the broker.
  const notOfASubscriber = ["intake", "records"];
  expect(files().sort()).toEqual([...run, ...notOfASubscriber].sort());
});

describe("server_frames", () => {
  interface Case {
    name: string;
    text: string;
    canonical?: string;
    refused?: boolean;
  }
  it.each(cases<Case>("server_frames"))("$name", ({ name, text, canonical, refused }) => {
    if (refused) {
      expect(() => decode(text)).toThrow(SyntaxError);
      return;
    }
    const frame = decode(text);
    expect(frame === null).toBe(name.startsWith("unknown type"));
    expect(strip(frame)).toEqual(strip(decode(canonical ?? text)));
    if (frame) expect(frame.type).toBe(JSON.parse(text).type);
  });

  /** Unknown fields and classes are kept in events as they came; they mean nothing. */
  const strip = (frame: ReturnType<typeof decode>): unknown =>
    frame?.type === "events"
      ? {
          ...frame,
          events: frame.events.map(({ kind, sent_as, class: is, at, data }) => ({
            kind,
            sent_as,
            isState: is === "state",
            at,
            data,
          })),
        }
      : frame;
});

describe("client_frames", () => {
  interface Case {
    name: string;
    text: string;
    canonical?: string;
    refused?: string;
  }
  const all = cases<Case>("client_frames");
  it.each(all.filter((one) => !one.refused))("says: $name", ({ text, canonical }) => {
    const frame = JSON.parse(text);
    const { type, id, channels } = frame;
    const said = type === "subscribe" ? { type, id, channels: channels.map(ask) } : frame;
    expect(JSON.stringify(said as ClientFrame)).toBe(canonical ?? text);
  });

  /** As the SDK asks: through a wish and an account. A bad name is refused before, which has a test of its own. */
  const ask = (one: Record<string, unknown>): SubscribeChannel => {
    const channel = one.channel as string;
    const named = isChannel(channel) ? channel : "a";
    const account = new Account(named, checkWish(named, optionsOf(one)));
    const request = account.request(null, 1_000);
    if (one.after) request.after = one.after as { epoch: string; seq: number };
    return { ...request, channel };
  };

  const optionsOf = (one: Record<string, unknown>): SubscribeOptions => {
    const { rung, max_rate: maxRate, tick_ms: tickMs, tail, last } = one;
    const given = Object.entries({ rung, maxRate, tickMs, tail, last }).filter(([, value]) => value != null);
    return Object.fromEntries(given) as SubscribeOptions;
  };

  const refusedHere = [
    "unknown rung",
    "unknown tick",
    "max_rate 0",
    "max_rate is no integer",
    "tail is no bool",
    "last over 1,000",
  ];
  // The type of the frame, its id, its fields and its cursor are the SDK's own; an application cannot get at them.
  const cannotBeSaid = [
    "empty",
    "no JSON",
    "two values",
    "a NUL",
    "an array",
    "a number",
    "null",
    "no type",
    "type is no string",
    "type twice",
    "unknown type",
    "unknown type, id too large",
    "unknown field",
    "unknown field of a channel",
    "unknown field of after",
    "no id",
    "id is negative",
    "id is no integer",
    "id is a string",
    "id of 2^53",
    "id twice",
    "no channels",
    "channels is no array",
    "channels are strings",
    "a channel is an array",
    "a channel without a name",
    "empty channels",
    "501 channels",
    "last and after",
    "after is an array",
    "after without an epoch",
    "after with a seq of 2^53",
    "after with an epoch of 33",
    "rung without channel or null",
    "rung with a bad channel",
    "rung with max_rate 0",
    "rung without rung",
    "auth without a token",
    "violation with a bad channel",
    "violation without detail",
  ];
  it("every refused frame is refused here too, or cannot be said", () => {
    const refused = all.filter((one) => one.refused).map((one) => one.name);
    expect(refused.sort()).toEqual([...refusedHere, ...cannotBeSaid].sort());
  });
  it.each(all.filter((one) => refusedHere.includes(one.name)))("refuses: $name", ({ text }) => {
    const [one] = JSON.parse(text).channels;
    expect(() => checkWish("a", optionsOf(one))).toThrow(RangeError);
  });
});

describe("names", () => {
  interface Case {
    name: string;
    type: string;
    text: string;
    accepted: boolean;
  }
  const checks: Record<string, (text: string) => boolean> = {
    channel: isChannel,
    kind: isKind,
    epoch: isEpoch,
    // Only producers name these; what a kind of theirs may be follows from what a kind may be.
    producer_kind: (text) => isKind(text) && !text.startsWith("_"),
    producer: (text) => isChannel(text) && !text.startsWith("$") && text.length <= 100,
  };
  it.each(cases<Case>("names"))("$name", ({ type, text, accepted }) => {
    expect(checks[type]?.(text)).toBe(accepted);
  });
});

describe("close_codes", () => {
  interface Case {
    name: string;
    number: number;
    comes_back: boolean;
  }
  const all = cases<Case>("close_codes");
  it.each(all)("$name", ({ number, comes_back }) => {
    expect(comesBack(number)).toBe(comes_back);
  });
  it("has exactly Tally's", () => {
    const ours = all.filter((one) => !one.name.startsWith("not Tally's"));
    expect(CLOSE_CODES).toEqual(Object.fromEntries(ours.map((one) => [one.name, one.number])));
  });
});

describe("ledger", () => {
  interface Case {
    name: string;
    channel: string;
    frames: string[];
    ledger: unknown;
    closed: unknown[];
    violation?: string;
  }

  /** What the table of the wire page says, and no more. */
  class Book {
    ledger: Ledger | null = null;
    closed: Ledger[] = [];

    take(channel: string, text: string): void {
      const frame = decode(text);
      const held = (): Ledger => this.ledger ?? fail(channel);
      switch (frame?.type) {
        case "subscribed":
          if (!frame.attach) break;
          if (frame.resumed) held().checkResume(frame.attach);
          else this.open(new Ledger(channel, frame.attach));
          break;
        case "reset":
          held();
          this.open(new Ledger(channel, frame));
          break;
        case "events":
          held().handleEvents(frame);
          break;
        case "counts":
          held().handleCounts(frame);
          break;
        case "summary":
          for (const one of frame.channels) {
            if (one.channel === channel) held().handleSummary(frame.why, one);
          }
          break;
        case "unsubscribed":
          this.open(null);
      }
    }

    private open(ledger: Ledger | null): void {
      if (this.ledger) this.closed.push(this.ledger);
      this.ledger = ledger;
    }
  }
  const fail = (channel: string): never => {
    throw new Violation(channel, "order", "a frame came before the attach");
  };

  it.each(cases<Case>("ledger"))("$name", ({ channel, frames, ledger, closed, violation }) => {
    const book = new Book();
    for (const [i, text] of frames.entries()) {
      let broken: string | undefined;
      try {
        book.take(channel, text);
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        broken = error.law;
      }
      expect(broken).toBe(i + 1 === frames.length ? violation : undefined);
    }
    expect(book.ledger && shown(book.ledger)).toEqual(ledger);
    expect(book.closed.map(shown)).toEqual(closed);
    for (const one of [book.ledger, ...book.closed]) expect(one?.closes() ?? true).toBe(true);
  });

  const counts = (totals: Totals): unknown => Object.fromEntries(totals);
  const columns = (of: ReadonlyMap<string, Totals>): unknown =>
    Object.fromEntries([...of].map(([why, totals]) => [why, counts(totals)]));
  const shown = (ledger: LedgerView): unknown => ({
    epoch: ledger.epoch,
    attached_seq: ledger.since.seq,
    attached_totals: counts(ledger.since.totals),
    cursor: ledger.cursor,
    totals: counts(ledger.totals),
    full: counts(ledger.full),
    counted: columns(ledger.counted),
    summarised: columns(ledger.summarised),
    state_seq: ledger.state?.seq ?? null,
  });
});
