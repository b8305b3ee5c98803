//! The figures of all gateways that speak, added up.

import type { Sample } from "../shape/sample.js";

export const totalsOf = (samples: readonly Sample[]) => {
  const add = (read: (it: Sample) => number) => samples.reduce((sum, it) => sum + read(it), 0);
  return {
    gateways: samples.length,
    shards: add((it) => it.shards.length),
    connections: add((it) => it.connections),
    subscriptions: add(({ subscriptions: it }) => it.full + it.counts + it.summary + it.pending),
    channels: add((it) => it.channels),
    interest: add((it) => it.interest),
    eventsIn: add((it) => it.in.events),
    bytesIn: add((it) => it.in.bytes),
    eventsOut: add((it) => it.out.events),
    frames: add((it) => it.out.frames),
    reduced: add((it) => it.out.counted_events + it.out.summarised_events),
    bytesOut: add((it) => it.out.bytes),
  };
};
