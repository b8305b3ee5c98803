//! Where the page is: view, range and selection, as they stand in the address.

import type { ChannelOrder } from "./model/channels.js";

export const VIEWS = ["fleet", "channels", "connections"] as const;
export type View = (typeof VIEWS)[number];

/** The ranges of the charts, each with the ring that it is read from. */
export const RANGES = {
  "5m": { words: "5 min", step: 1, slots: 300 },
  "1h": { words: "1 h", step: 10, slots: 360 },
  "6h": { words: "6 h", step: 60, slots: 360 },
} as const;
export type RangeName = keyof typeof RANGES;

export const ORDERS: readonly ChannelOrder[] = ["rate", "listeners", "bytes", "counted"];

export interface Route {
  readonly view: View;
  readonly range: RangeName;
  /** The gateway that is looked at; null: none. */
  readonly gateway: string | null;
  readonly channel: string | null;
  readonly connection: string | null;
  readonly search: string;
  readonly order: ChannelOrder;
}

export const HOME: Route = {
  view: "fleet",
  range: "5m",
  gateway: null,
  channel: null,
  connection: null,
  search: "",
  order: "rate",
};

/** The longest text that is taken from an address. */
const TEXT_MAX = 200;

/** Anything that is not known is as if it were not there. */
export const parse = (query: string): Route => {
  const params = new URLSearchParams(query);
  const of = <T extends string>(name: string, words: readonly T[], other: T): T =>
    words.find((word) => word === params.get(name)) ?? other;
  const text = (name: string): string | null => params.get(name)?.slice(0, TEXT_MAX) || null;
  const ranges = Object.keys(RANGES) as RangeName[];
  return {
    view: of("view", VIEWS, HOME.view),
    range: of("range", ranges, HOME.range),
    gateway: text("gateway"),
    channel: text("channel"),
    connection: text("connection"),
    search: text("search") ?? "",
    order: of("order", ORDERS, HOME.order),
  };
};

/** Only what differs from the page as it opens; empty: nothing does. */
export const print = (route: Route): string => {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(route)) {
    if (value !== null && value !== HOME[name as keyof Route]) params.set(name, value);
  }
  const query = params.toString();
  return query === "" ? "" : `?${query}`;
};
