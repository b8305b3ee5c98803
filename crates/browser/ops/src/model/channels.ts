//! The channels of the fleet: what each gateway tells of its own, brought together by name.

import type { ChannelPoint } from "../shape/answer.js";
import type { ChannelDetail, Detail, Unheard } from "../shape/detail.js";

export interface FleetChannel {
  readonly channel: string;
  /** Events per second: every gateway that listens sees the same ones, so the most that any saw. */
  readonly rate: number;
  /** Listeners by rung, and all of them. */
  readonly full: number;
  readonly counts: number;
  readonly summary: number;
  readonly listeners: number;
  /** Bytes per second into each gateway (the most that any took in), and out of all to sockets. */
  readonly inBytes: number;
  readonly outBytes: number;
  /** Of the events delivered, the share that was only counted; null: nothing was delivered. */
  readonly counted: number | null;
  readonly seq: number;
  readonly gateways: readonly string[];
}

export type ChannelOrder = "rate" | "listeners" | "bytes" | "counted";

export const mergeChannels = (
  told: Iterable<readonly [gateway: string, channels: readonly ChannelDetail[]]>,
): FleetChannel[] => {
  const byName = new Map<string, { of: ChannelDetail[]; gateways: string[] }>();
  for (const [gateway, channels] of told) {
    for (const one of channels) {
      const held = byName.get(one.channel) ?? { of: [], gateways: [] };
      held.of.push(one);
      held.gateways.push(gateway);
      byName.set(one.channel, held);
    }
  }
  return [...byName].map(([channel, { of, gateways }]) => merged(channel, of, gateways));
};

const merged = (channel: string, of: readonly ChannelDetail[], gateways: readonly string[]): FleetChannel => {
  const add = (read: (it: ChannelDetail) => number) => of.reduce((sum, it) => sum + read(it), 0);
  const most = (read: (it: ChannelDetail) => number) => of.reduce((max, it) => Math.max(max, read(it)), 0);
  const full = add((it) => it.listeners.full);
  const counts = add((it) => it.listeners.counts);
  const summary = add((it) => it.listeners.summary);
  const inFull = add((it) => it.full_events);
  const counted = add((it) => it.counted_events);
  return {
    channel,
    rate: most((it) => it.rate),
    full,
    counts,
    summary,
    listeners: full + counts + summary,
    inBytes: most((it) => it.in_bytes),
    outBytes: add((it) => it.out_bytes),
    counted: inFull + counted > 0 ? counted / (inFull + counted) : null,
    seq: most((it) => it.seq),
    gateways,
  };
};

const KEYS: Record<ChannelOrder, (it: FleetChannel) => number> = {
  rate: (it) => it.rate,
  listeners: (it) => it.listeners,
  bytes: (it) => it.outBytes,
  counted: (it) => it.counted ?? -1,
};

/** Without Tally's own, which an operator did not make and did not ask for. */
export const foreign = <T extends { readonly channel: string }>(channels: readonly T[]): T[] =>
  channels.filter(({ channel }) => !channel.startsWith("$"));

/** The highest first; those that are equal by name, so that nothing moves without a reason. */
export const topChannels = (channels: readonly FleetChannel[], order: ChannelOrder): FleetChannel[] =>
  [...channels].sort((a, b) => KEYS[order](b) - KEYS[order](a) || (a.channel < b.channel ? -1 : 1));

/** The unheard channels of all gateways, the most bytes first. */
export const mergeUnheard = (details: Iterable<Detail>): Unheard[] => {
  const byName = new Map<string, Unheard>();
  for (const { unheard } of details) {
    for (const { channel, events, bytes } of unheard) {
      const held = byName.get(channel);
      byName.set(channel, {
        channel,
        events: (held?.events ?? 0) + events,
        bytes: (held?.bytes ?? 0) + bytes,
      });
    }
  }
  return [...byName.values()].sort((a, b) => b.bytes - a.bytes || b.events - a.events);
};

/** One channel's seconds over all gateways: the highest rate, all listeners. In order of time. */
export const mergeHistories = (histories: readonly (readonly ChannelPoint[])[]): ChannelPoint[] => {
  const byAt = new Map<number, ChannelPoint>();
  for (const point of histories.flat()) {
    const held = byAt.get(point.at);
    byAt.set(point.at, {
      at: point.at,
      rate: Math.max(held?.rate ?? 0, point.rate),
      full: (held?.full ?? 0) + point.full,
      counts: (held?.counts ?? 0) + point.counts,
      summary: (held?.summary ?? 0) + point.summary,
    });
  }
  return [...byAt.values()].sort((a, b) => a.at - b.at);
};
