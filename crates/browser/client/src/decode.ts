//! Reads frames from the server. Unknown types and fields are ignored; anything else that does not fit is refused.

import type { Attach, Position, ServerFrame } from "./frame.js";
import { repeatedKey } from "./keys.js";
import { KINDS_MAX } from "./limits.js";
import { isChannel, isEpoch, isKind, RUNGS, TICKS, WHYS } from "./names.js";
import type { Counting } from "./totals.js";

type Fields = Record<string, unknown>;
/** Answers what a field means, or throws. `from` is the object that has it. */
type Read<T = unknown> = (value: unknown, key: string, from: Fields) => T;

/** A frame that cannot be read. */
export class FrameError extends Error {}

/** Reads one text frame; null where this build does not know its type. Throws a {@link FrameError}. */
export const decode = (text: string): ServerFrame | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FrameError("it is no JSON");
  }
  const frame = fields(value, "a frame");
  const type = string(frame.type, "type") as ServerFrame["type"];
  const key = repeatedKey(text, type === "unnumbered" ? "events" : "data");
  if (key !== null) throw new FrameError(`${key} stands twice`);
  return Object.hasOwn(shapes, type)
    ? ({ type, ...object(shapes[type])(frame, type, frame) } as ServerFrame)
    : null;
};

const no = (what: string, must: string): never => {
  throw new FrameError(`${what} must be ${must}`);
};

const fields = (value: unknown, key: string): Fields =>
  typeof value === "object" && value && !Array.isArray(value) ? (value as Fields) : no(key, "an object");

const passing =
  <T>(is: (value: unknown) => boolean, must: string) =>
  (value: unknown, key: string): T =>
    is(value) ? (value as T) : no(key, must);

const string = passing<string>((value) => typeof value === "string", "a string");
/** Numbers are integers below 2^53: from there on two of them could look the same. */
const integer = passing<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  "an integer from 0 to 2^53 - 1",
);
const channel = passing<string>(isChannel, "a channel");
const kind = passing<string>(isKind, "a kind");
const epoch = passing<string>(isEpoch, "an epoch");
const word = (words: readonly unknown[]) => passing((value) => words.includes(value), `one of ${words}`);
const rung = word(RUNGS);
const why = word(WHYS);

/** Absent, null, or what `read` takes. */
const maybe =
  <T>(read: Read<T>): Read<T | null> =>
  (value, key, from) =>
    value == null ? null : read(value, key, from);

/** Present, and null or what `read` takes. */
const orNull =
  <T>(read: Read<T>): Read<T | null> =>
  (value, key, from) =>
    value === null ? null : read(value, key, from);

const list =
  (read: Read): Read<unknown[]> =>
  (value, key, from) =>
    Array.isArray(value) ? value.map((one) => read(one, key, from)) : no(key, "an array");

const object =
  (shape: Record<string, Read>): Read<Fields> =>
  (value, key) => {
    const from = fields(value, key);
    return Object.fromEntries(
      Object.entries(shape).map(([name, read]) => [name, read(from[name], name, from)]),
    );
  };

const totals: Read<Counting> = (value, key) => {
  const all: Counting = new Map();
  for (const [name, n] of Object.entries(fields(value, key))) {
    all.set(kind(name, "a key of totals"), integer(n, name) || no(name, "1 or more"));
  }
  return all.size > KINDS_MAX ? no(key, `of at most ${KINDS_MAX} kinds`) : all;
};

/** An event stays the object that it was read as: there are many. */
const event: Read = (value, key) => {
  const from = fields(value, key);
  kind(from.kind, "kind");
  integer(from.at, "at");
  if (from.sent_as != null) kind(from.sent_as, "sent_as");
  if (from.class !== undefined) string(from.class, "class");
  return "data" in from ? from : no("data", "present");
};

const numbered: Read = (value, key, from) => {
  integer(fields(value, key).seq, "seq");
  return event(value, key, from);
};

const reduced = { channel, epoch, seq: integer, totals, state: maybe(numbered) };
const position = { epoch: orNull(epoch), seq: integer, totals, state: orNull(numbered) };

const attach: Read<Attach> = (_, key, from) => {
  if (typeof from.resumed !== "boolean") no("resumed", "true or false");
  if (from.upstream === "pending") return { is: "pending" };
  return from.resumed
    ? { is: "resumed", epoch: epoch(from.epoch, "epoch"), seq: integer(from.seq, "seq") }
    : { is: "at", position: object(position)(from, key, from) as unknown as Position };
};

const window: Read = (value, key, from) => {
  const both = list(integer)(value, key, from);
  return both.length === 2 ? both : no(key, "two integers");
};

const shapes: {
  [T in ServerFrame["type"]]: Record<Exclude<keyof Extract<ServerFrame, { type: T }>, "type">, Read>;
} = {
  hello: {
    protocol: string,
    connection: string,
    heartbeat_ms: integer,
    limits: object({
      frame_bytes: integer,
      subscriptions: integer,
      max_rate_default: integer,
      max_rate: integer,
      last: integer,
    }),
  },
  subscribed: {
    id: integer,
    channel,
    attach,
    rung,
    max_rate: integer,
    tick_ms: word(TICKS),
    upstream: word(["up", "down", "pending"]),
  },
  unsubscribed: {
    id: maybe(integer),
    channel,
    code: string,
    epoch: maybe(epoch),
    seq: maybe(integer),
    totals: maybe(totals),
  },
  events: { channel, epoch, from: integer, to: integer, events: list(event) },
  counts: { ...reduced, why, tail: maybe(list(numbered)) },
  summary: { why, channels: list(object(reduced)) },
  rung: { channel: maybe(channel), rung, why },
  reset: { channel, ...position },
  unnumbered: { channel, events: list((one) => one), dropped: integer },
  upstream: { status: word(["up", "down"]), since: integer, channels: maybe(list(channel)) },
  heartbeat: { at: integer },
  error: { id: maybe(integer), channel: maybe(channel), code: string, message: string },
  goodbye: { code: string, reason: string, retry_after_ms: window },
};
