//! What gateways answer on `$answers:<ask>`: channels, one connection, history, or that an order was done.

import { ROWS_MAX } from "../bounds.js";
import {
  type ChannelDetail,
  type ConnectionDetail,
  NAMED_MAX,
  type Rung,
  readChannel,
  readConnection,
  readRung,
} from "./detail.js";
import { each, isObject, list, number, numberOrNull, object, text, textOrNull } from "./json.js";

/** One answer, perhaps one of several parts, its content not yet read. */
export interface Answer {
  readonly ask: string;
  readonly gateway: string;
  readonly ok: boolean;
  readonly error: string | null;
  readonly part: number;
  readonly parts: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export const readAnswer = (value: unknown): Answer | null => {
  if (!isObject(value) || text(value.ask) === "") return null;
  return {
    ask: text(value.ask),
    gateway: text(value.gateway),
    ok: value.ok === true,
    error: textOrNull(value.error),
    part: numberOrNull(value.part) ?? 1,
    parts: numberOrNull(value.parts) ?? 1,
    body: value,
  };
};

/** One second of one channel. */
export interface ChannelPoint {
  readonly at: number;
  readonly rate: number;
  readonly full: number;
  readonly counts: number;
  readonly summary: number;
}

export interface ChannelAnswer {
  readonly channels: readonly ChannelDetail[];
  readonly history: readonly ChannelPoint[];
}

/** Seconds of one channel's history; more are not read. */
const POINTS_MAX = 300;

export const readChannelAnswer = (answer: Answer): ChannelAnswer => ({
  channels: each(answer.body.channels, NAMED_MAX, readChannel),
  history: each(answer.body.history, POINTS_MAX, readPoint),
});

const readPoint = (value: unknown): ChannelPoint | null => {
  const [at, rate, full, counts, summary] = list(value);
  if (number(at) <= 0) return null;
  return {
    at: number(at),
    rate: number(rate),
    full: number(full),
    counts: number(counts),
    summary: number(summary),
  };
};

export interface SubscriptionDetail {
  readonly channel: string;
  readonly rung: Rung;
  readonly why: string | null;
  readonly asked: Rung;
  readonly max_rate: number;
  readonly tick_ms: number;
  readonly cursor: number;
  readonly behind: number;
  readonly throttled: boolean;
}

export interface RungMove {
  readonly at: number;
  readonly rung: Rung;
  readonly why: string | null;
}

export interface ConnectionAnswer {
  readonly connection: ConnectionDetail;
  readonly subscriptions: readonly SubscriptionDetail[];
  readonly history: readonly RungMove[];
}

const HISTORY_MAX = 32;

export const readConnectionAnswer = (answer: Answer): ConnectionAnswer | null => {
  const it = object(answer.body.connection);
  const held = list(it.subscriptions);
  const connection = readConnection({ ...it, subscriptions: number(it.subscriptions_n) || held.length });
  if (connection === null) return null;
  return {
    connection,
    subscriptions: each(held, ROWS_MAX, readSubscription),
    history: each(it.history ?? answer.body.history, HISTORY_MAX, readMove),
  };
};

const readSubscription = (value: unknown): SubscriptionDetail | null => {
  const it = object(value);
  const channel = text(it.channel);
  if (channel === "") return null;
  return {
    channel,
    rung: readRung(it.rung),
    why: textOrNull(it.why),
    asked: readRung(it.asked),
    max_rate: number(it.max_rate),
    tick_ms: number(it.tick_ms),
    cursor: number(it.cursor),
    behind: number(it.behind),
    throttled: it.throttled === true,
  };
};

const readMove = (value: unknown): RungMove | null => {
  const [at, rung, why] = list(value);
  if (number(at) <= 0) return null;
  return { at: number(at), rung: readRung(rung), why: textOrNull(why) };
};

/** One gateway's part of a history. */
export interface HistoryPart {
  readonly gateway: string;
  readonly name: string;
  readonly at: readonly number[];
  readonly series: ReadonlyMap<string, readonly (number | null)[]>;
}

/** The history in one answer's part. */
export const readHistory = (answer: Answer): { step: number; gateways: HistoryPart[] } => ({
  step: number(answer.body.step),
  gateways: Object.entries(object(answer.body.gateways)).map(([gateway, value]) => {
    const it = object(value);
    const series = Object.entries(object(it.series));
    return {
      gateway,
      name: text(it.name) || gateway,
      at: list(it.at).map(number),
      series: new Map(series.map(([name, points]) => [name, list(points).map(numberOrNull)])),
    };
  }),
});
