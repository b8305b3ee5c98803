//! The slowest connections of the fleet: those that the gateways name, in one order.

import type { ConnectionDetail, Detail, Rung } from "../shape/detail.js";

export interface FleetConnection extends ConnectionDetail {
  readonly gateway: string;
}

const DEPTH: Record<Rung, number> = { summary: 2, counts: 1, full: 0 };

/** By lag, then by rung, then by bytes due; those that are equal by who came first. */
export const slowestFirst = (details: Iterable<Detail>): FleetConnection[] =>
  [...details]
    .flatMap(({ gateway, connections }) => connections.map((it) => ({ ...it, gateway })))
    .sort(
      (a, b) =>
        b.lag_ms - a.lag_ms ||
        DEPTH[b.rung] - DEPTH[a.rung] ||
        b.due_bytes - a.due_bytes ||
        a.since - b.since ||
        (a.connection < b.connection ? -1 : 1),
    );

/** Those of which the id, the address, the user agent or the gateway has the words in it. */
export const matching = (connections: readonly FleetConnection[], words: string): FleetConnection[] => {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return connections.filter((it) => {
    const text =
      `${it.connection} ${it.addr} ${it.user_agent ?? ""} ${it.gateway} ${it.rung} ${it.why ?? ""}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
};
