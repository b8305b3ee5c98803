//! Reads frames from the server. Unknown types and fields are ignored; anything else that does not fit is refused.

import type { Attach, NumberedEvent, Position, Reduced, ServerFrame, State, TallyEvent } from "./frame.js";
import { repeatedKey } from "./keys.js";
import { KINDS_MAX } from "./limits.js";
import { isChannel, isEpoch, isKind, RUNGS, TICKS, WHYS } from "./names.js";
import type { Counting } from "./totals.js";

type Fields = Record<string, unknown>;

/** A frame that cannot be read. */
export class FrameError extends Error {}

/** Reads one text frame; null where this build does not know its type. Throws a {@link FrameError}. */
export const decode = (text: string): ServerFrame | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FrameError(`no JSON: ${(error as Error).message}`);
  }
  const frame = fields(value, "frame");
  const type = string(frame, "type");
  const key = repeatedKey(text, type === "unnumbered" ? "events" : "data");
  if (key !== null) throw new FrameError(`${type}: ${key} stands twice`);
  const read = Object.hasOwn(readers, type) ? readers[type as keyof typeof readers] : () => null;
  return read(frame);
};

const no = (what: string, must: string): never => {
  throw new FrameError(`${what} must be ${must}`);
};

const fields = (value: unknown, what: string): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : no(what, "an object");

const string = (from: Fields, key: string): string => {
  const value = from[key];
  return typeof value === "string" ? value : no(key, "a string");
};

/** Numbers are integers below 2^53: from there on two of them could look the same. */
const integer = (from: Fields, key: string): number => {
  const value = from[key];
  return Number.isSafeInteger(value) && (value as number) >= 0
    ? (value as number)
    : no(key, "an integer from 0 to 2^53 - 1");
};

const name =
  (is: (text: unknown) => text is string, must: string) =>
  (from: Fields, key: string): string => {
    const value = from[key];
    return is(value) ? value : no(key, must);
  };
const channel = name(isChannel, "a channel");
const kind = name(isKind, "a kind");
const epoch = name(isEpoch, "an epoch");

const word =
  <T extends string | number>(words: readonly T[]) =>
  (from: Fields, key: string): T =>
    words.includes(from[key] as T) ? (from[key] as T) : no(key, `one of ${words}`);
const rung = word(RUNGS);
const why = word(WHYS);
const status = word(["up", "down"] as const);

const array = <T>(from: Fields, key: string, read: (item: unknown) => T): T[] => {
  const value = from[key];
  return Array.isArray(value) ? value.map(read) : no(key, "an array");
};

type Reader<T> = (from: Fields, key: string) => T;

/** Present, and null or what `read` takes. */
const orNull =
  <T>(read: Reader<T>): Reader<T | null> =>
  (from, key) =>
    from[key] === undefined ? no(key, "present") : maybe(read)(from, key);

/** Absent, null, or what `read` takes. */
const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (from, key) =>
    from[key] == null ? null : read(from, key);

const totals: Reader<Counting> = (from, key) => {
  const counts = fields(from[key], key);
  const all: Counting = new Map();
  for (const of in counts) {
    if (!isKind(of)) no("a key of totals", "a kind");
    all.set(of, integer(counts, of) || no(`totals of ${of}`, "1 or more"));
  }
  return all.size > KINDS_MAX ? no(key, `of at most ${KINDS_MAX} kinds`) : all;
};

const event = (value: unknown): TallyEvent => {
  const from = fields(value, "event");
  kind(from, "kind");
  integer(from, "at");
  maybe(kind)(from, "sent_as");
  if (from.class !== undefined) string(from, "class");
  if (!("data" in from)) no("data", "present");
  return from as unknown as TallyEvent;
};

const numbered = (value: unknown): NumberedEvent => {
  integer(fields(value, "event"), "seq");
  return event(value) as NumberedEvent;
};

const state: Reader<State> = (from, key) => numbered(from[key]);

const reduced = (from: Fields): Reduced => ({
  channel: channel(from, "channel"),
  epoch: epoch(from, "epoch"),
  seq: integer(from, "seq"),
  totals: totals(from, "totals"),
  state: maybe(state)(from, "state"),
});

const position = (from: Fields): Position => ({
  epoch: orNull(epoch)(from, "epoch"),
  seq: integer(from, "seq"),
  totals: totals(from, "totals"),
  state: orNull(state)(from, "state"),
});

const attach = (from: Fields): Attach => {
  const resumed = from.resumed;
  if (typeof resumed !== "boolean") no("resumed", "true or false");
  if (from.upstream === "pending") return { is: "pending" };
  if (resumed) return { is: "resumed", epoch: epoch(from, "epoch"), seq: integer(from, "seq") };
  return { is: "at", position: position(from) };
};

const readers: { [T in ServerFrame["type"]]: (from: Fields) => ServerFrame } = {
  hello: (from) => {
    const limits = fields(from.limits, "limits");
    return {
      type: "hello",
      protocol: string(from, "protocol"),
      connection: string(from, "connection"),
      heartbeat_ms: integer(from, "heartbeat_ms"),
      limits: {
        frame_bytes: integer(limits, "frame_bytes"),
        subscriptions: integer(limits, "subscriptions"),
        max_rate_default: integer(limits, "max_rate_default"),
        max_rate: integer(limits, "max_rate"),
        last: integer(limits, "last"),
      },
    };
  },
  subscribed: (from) => ({
    type: "subscribed",
    id: integer(from, "id"),
    channel: channel(from, "channel"),
    attach: attach(from),
    rung: rung(from, "rung"),
    max_rate: integer(from, "max_rate"),
    tick_ms: word(TICKS)(from, "tick_ms"),
    upstream: word(["up", "down", "pending"] as const)(from, "upstream"),
  }),
  unsubscribed: (from) => ({
    type: "unsubscribed",
    id: maybe(integer)(from, "id"),
    channel: channel(from, "channel"),
    code: string(from, "code"),
    epoch: maybe(epoch)(from, "epoch"),
    seq: maybe(integer)(from, "seq"),
    totals: maybe(totals)(from, "totals"),
  }),
  events: (from) => ({
    type: "events",
    channel: channel(from, "channel"),
    epoch: epoch(from, "epoch"),
    from: integer(from, "from"),
    to: integer(from, "to"),
    events: array(from, "events", event),
  }),
  counts: (from) => ({
    type: "counts",
    ...reduced(from),
    why: why(from, "why"),
    tail: maybe((it: Fields, key) => array(it, key, numbered))(from, "tail"),
  }),
  summary: (from) => ({
    type: "summary",
    why: why(from, "why"),
    channels: array(from, "channels", (one) => reduced(fields(one, "a channel of summary"))),
  }),
  rung: (from) => ({
    type: "rung",
    channel: maybe(channel)(from, "channel"),
    rung: rung(from, "rung"),
    why: why(from, "why"),
  }),
  reset: (from) => ({ type: "reset", channel: channel(from, "channel"), ...position(from) }),
  unnumbered: (from) => ({
    type: "unnumbered",
    channel: channel(from, "channel"),
    events: array(from, "events", (one) => one),
    dropped: integer(from, "dropped"),
  }),
  upstream: (from) => ({
    type: "upstream",
    status: status(from, "status"),
    since: integer(from, "since"),
    channels: maybe((it: Fields, key) =>
      array(it, key, (one) => (isChannel(one) ? one : no("channels", "channels"))),
    )(from, "channels"),
  }),
  heartbeat: (from) => ({ type: "heartbeat", at: integer(from, "at") }),
  error: (from) => ({
    type: "error",
    id: maybe(integer)(from, "id"),
    channel: maybe(channel)(from, "channel"),
    code: string(from, "code"),
    message: string(from, "message"),
  }),
  goodbye: (from) => {
    const after = array(from, "retry_after_ms", (ms) => integer({ ms }, "ms"));
    if (after.length !== 2) no("retry_after_ms", "two integers");
    return {
      type: "goodbye",
      code: string(from, "code"),
      reason: string(from, "reason"),
      retry_after_ms: [after[0] as number, after[1] as number],
    };
  },
};
