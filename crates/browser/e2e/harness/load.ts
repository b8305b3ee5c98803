//! A publisher that keeps a pace: so many events per second, in batches, for so long.

import type { Event, Gateway } from "./gateway.ts";

export interface Load {
  readonly perSecond: number;
  readonly seconds: number;
  /** Characters of each event's data. */
  readonly chars?: number;
  /** How often a batch is sent, in ms. */
  readonly everyMs?: number;
}

const KINDS = ["ok", "ok", "ok", "changed", "failed"];

export const eventsOf = (n: number, chars = 40): Event[] =>
  Array.from({ length: n }, (_, i) => ({
    kind: KINDS[i % KINDS.length] as string,
    data: { host: `web${i}`, note: "x".repeat(chars) },
  }));

/** Publishes at that pace, and answers with the channel's last seq. A slow gateway makes it late, never more. */
export const publishAt = async (gateway: Gateway, channel: string, load: Load): Promise<number> => {
  const { perSecond, seconds, chars, everyMs = 100 } = load;
  const batch = eventsOf(Math.max(1, Math.round((perSecond * everyMs) / 1000)), chars);
  const start = performance.now();
  let last = 0;
  for (let sent = 0; sent < (seconds * 1000) / everyMs; sent++) {
    const wait = start + sent * everyMs - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    last = await gateway.publish(channel, batch);
  }
  return last;
};
