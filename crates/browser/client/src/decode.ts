//! Reads frames from the server. Unknown types and fields are ignored; anything else that does not fit is refused.

import type { ServerFrame } from "./frame.js";
import { repeatedKey } from "./keys.js";
import { isChannel, isEpoch, isKind, RUNGS, TICKS, WHYS } from "./names.js";
import type { Counting } from "./totals.js";

type Fields = Record<string, unknown>;
/** Answers what a field means, or throws. `from` is the object that has it. */
type Read = (value: unknown, key: string, from: Fields) => unknown;

/** Reads one text frame; null where this build does not know its type. Throws a SyntaxError, as `JSON.parse` does. */
export const decode = (text: string): ServerFrame | null => {
  const frame = fields(JSON.parse(text), "a frame");
  const type = string(frame.type, "type", frame) as ServerFrame["type"];
  const key = repeatedKey(text, type === "unnumbered" ? "events" : "data");
  if (key !== null) throw new SyntaxError(`${key} stands twice`);
  return Object.hasOwn(frames, type)
    ? ({ type, ...(frames[type](frame, type, frame) as Fields) } as unknown as ServerFrame)
    : null;
};

const no = (key: string, value: unknown): never => {
  throw new SyntaxError(`${key} cannot be ${JSON.stringify(value)?.slice(0, 50)}`);
};

const fields = (value: unknown, key: string): Fields =>
  typeof value === "object" && value && !Array.isArray(value) ? (value as Fields) : no(key, value);

const passing =
  (is: (value: unknown) => boolean): Read =>
  (value, key) =>
    is(value) ? value : no(key, value);

const word = (words: readonly unknown[]): Read => passing((value) => words.includes(value));

const list =
  (read: Read): Read =>
  (value, key, from) =>
    Array.isArray(value) ? value.map((one) => read(one, key, from)) : no(key, value);

/**
 * An object with these fields; others are left out. Each field has the check of its name, or of the name after a colon.
 * `?`: absent, null, or what the check takes; null then. `|null`: present, and null or what the check takes. `keeps`: it
 * stays the object that it was read as, with all it has.
 */
const object = (shape: string, keeps = false): Read => {
  const reads = [...shape.matchAll(/(\w+):?(\w*)(\S*)/g)] as unknown as [string, string, string, string][];
  return (value, key) => {
    const from = fields(value, key);
    const read: Fields = {};
    for (const [, name, check, or] of reads) {
      const one = from[name];
      const isNone = or && (one === null || (or === "?" && one === undefined));
      read[name] = isNone ? null : (checks[check || name] ?? integer)(one, name, from);
    }
    return keeps ? from : read;
  };
};

const string = passing((value) => typeof value === "string");
/** Numbers are integers below 2^53: from there on two of them could look the same. */
const integer = passing((value) => Number.isSafeInteger(value) && (value as number) >= 0);
const channel = passing(isChannel);
const kind = passing(isKind);

const totals: Read = (value, key, from) => {
  const all: Counting = new Map();
  for (const [name, n] of Object.entries(fields(value, key))) {
    kind(name, "a kind", from);
    all.set(name, (integer(n, name, from) as number) || no(name, n));
  }
  return all;
};

const event = "kind at sent_as:kind? class:code? data";
const numbered = object(`seq ${event}`, true);

const cursor = object("epoch seq");
const position = object("epoch|null seq totals state|null");

const attach: Read = (_, key, from) =>
  from.upstream === "pending" ? null : (from.resumed ? cursor : position)(from, key, from);

/** What a field of this name must be, in whatever frame; a name that is not here is an integer. */
const checks: Record<string, Read> = {
  attach,
  channel,
  channels: list(channel),
  code: string,
  connection: string,
  data: passing((value) => value !== undefined),
  epoch: passing(isEpoch),
  events: list(object(event, true)),
  kind,
  limits: object("frame_bytes max_rate_default last", true),
  message: string,
  protocol: word(["tally.v1"]),
  reason: string,
  reduced: list(object("channel epoch seq totals state?")),
  resumed: word([true, false]),
  retry_after_ms: list(integer),
  rung: word(RUNGS),
  state: numbered,
  status: word(["up", "down"]),
  tail: list(numbered),
  tick_ms: word(TICKS),
  totals,
  upstream: word(["up", "down", "pending"]),
  values: list((one) => one),
  why: word(WHYS),
};

const frames: Record<ServerFrame["type"], Read> = {
  hello: object("protocol connection heartbeat_ms limits"),
  subscribed: object("id channel resumed attach rung max_rate tick_ms upstream"),
  unsubscribed: object("channel code"),
  events: object("channel epoch from to events"),
  counts: object("channel epoch seq totals why state? tail?"),
  summary: object("why channels:reduced"),
  rung: object("channel? rung why"),
  reset: object("channel epoch|null seq totals state|null"),
  unnumbered: object("channel events:values dropped"),
  upstream: object("status since channels?"),
  heartbeat: object(""),
  error: object("id? channel? code message"),
  goodbye: object("code reason retry_after_ms"),
};
