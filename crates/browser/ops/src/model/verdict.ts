//! The page's six questions, each with an answer in words and how good it is.

import { ago, count, millis, percent, plural, rate, ratio, span } from "../format.js";
import type { Sample } from "../shape/sample.js";
import { type Sum, sumAccounts } from "./account.js";
import type { Change } from "./change.js";
import type { FleetChannel } from "./channels.js";
import type { FleetConnection } from "./connections.js";
import { evenness, evenWord } from "./even.js";
import type { Gateway, Presence } from "./fleet.js";

/** `idle`: there is nothing to judge. */
export type Grade = "good" | "warn" | "bad" | "idle";

export interface Verdict {
  readonly grade: Grade;
  readonly answer: string;
  readonly more: string;
  /** What it is about, where there is nothing to judge. */
  readonly about?: "hot" | "past";
}

/** Connections or deliveries per shard below which evenness says nothing. */
export const EVEN_LEAST = 8;

export const isArriving = (accounts: Sum, silent: number): Verdict => {
  const { lost, residual, violations, advanced } = accounts;
  if (accounts.gateways === 0)
    return { grade: "idle", answer: "Nothing heard", more: "no gateway has spoken yet" };
  if (lost > 0) {
    return {
      grade: "bad",
      answer: `${count(lost)} lost`,
      more: `residual ${count(residual)}, ${plural(violations, "violation")}`,
    };
  }
  const more = `${count(advanced)} events accounted for`;
  if (silent > 0) return { grade: "warn", answer: "Not sure", more: `${plural(silent, "gateway")} silent` };
  return { grade: "good", answer: advanced === 0 ? "Nothing to lose yet" : "Yes, none lost", more };
};

/** A lag below this, in ms, is not slow. */
const SLOW_MS = 1_000;

export const isSlow = (samples: readonly Sample[], slowest: FleetConnection | null): Verdict => {
  const add = (read: (it: Sample) => number) => samples.reduce((sum, it) => sum + read(it), 0);
  const all = add((it) => it.connections);
  const counts = add((it) => it.connections_by_rung.counts);
  const summary = add((it) => it.connections_by_rung.summary);
  if (all === 0) return { grade: "idle", answer: "Nobody is here", more: "no connections" };
  const lag = slowest?.lag_ms ?? 0;
  if (counts + summary === 0) {
    if (lag < SLOW_MS)
      return { grade: "good", answer: "Nobody", more: `all ${count(all)} get events in full` };
    return {
      grade: "warn",
      answer: `${millis(lag)} behind`,
      more: "the slowest; all still get events in full",
    };
  }
  const parts = [
    counts > 0 ? `${count(counts)} at counts` : "",
    summary > 0 ? `${count(summary)} at summary` : "",
  ];
  return {
    grade: summary > 0 ? "warn" : "idle",
    answer: `${count(counts + summary)} of ${count(all)} below full`,
    more: lag >= SLOW_MS ? `up to ${millis(lag)} behind` : parts.filter(Boolean).join(", "),
  };
};

export const whatIsHot = (hottest: FleetChannel | null, events: number): Verdict => {
  if (hottest === null || hottest.rate === 0)
    return { grade: "idle", answer: "Nothing", more: "no channel has events now" };
  const share = events > 0 ? `, ${percent(Math.min(1, hottest.rate / events))} of all` : "";
  return {
    grade: "idle",
    about: "hot",
    answer: hottest.channel,
    more: `${rate(hottest.rate, "events/s")}${share}`,
  };
};

export const isEven = (samples: readonly Sample[]): Verdict => {
  const shards = evenness(
    samples.flatMap((it) => it.shards.map((shard) => shard.connections)),
    EVEN_LEAST,
  );
  const nodes = evenness(
    samples.map((it) => it.connections),
    EVEN_LEAST,
  );
  const worst = (shards.ratio ?? 0) >= (nodes.ratio ?? 0) ? shards : nodes;
  const word = evenWord(worst);
  const where = worst === shards ? "shard" : "gateway";
  if (worst.ratio === null)
    return {
      grade: "idle",
      answer: "Too little to say",
      more: `${plural(shards.n, "shard")}, few connections`,
    };
  const answer = word === "even" ? "Yes, even" : word === "uneven" ? "Uneven" : "Very uneven";
  const grade = word === "even" ? "good" : word === "uneven" ? "warn" : "bad";
  return { grade, answer, more: `fullest ${where} ${ratio(worst.ratio)} the mean` };
};

export const howIsRedis = (samples: readonly Sample[], now: number): Verdict => {
  const links = samples.map((it) => it.redis).filter((it) => it !== null);
  if (samples.length === 0) return { grade: "idle", answer: "Not known", more: "no gateway has spoken yet" };
  if (links.length === 0)
    return { grade: "idle", answer: "Not used", more: "embedded backplane, one process" };
  const down = links.filter((it) => !it.up);
  if (down.length > 0) {
    const since = Math.min(...down.map((it) => it.since));
    const where = down.length === links.length ? "" : ` for ${down.length} of ${links.length}`;
    return {
      grade: "bad",
      answer: `Down${where}`,
      more: `since ${span((now - since) / 1000)}${reasonOf(down[0]?.reason)}`,
    };
  }
  const probes = links.map((it) => it.probe_ms).filter((it) => it !== null);
  const slowest = probes.length > 0 ? `slowest probe ${millis(Math.max(...probes))}` : "no probe yet";
  return { grade: "good", answer: "Up", more: `${slowest}, ${plural(links.length, "link")}` };
};

const reasonOf = (reason: string | null | undefined): string => (reason ? `: ${reason}` : "");

/** What is longer ago, in ms, is told but does not alarm any more. */
const FRESH_MS = 600_000;

export const whatChanged = (changes: readonly Change[], now: number): Verdict => {
  const [newest] = changes;
  if (newest === undefined) return { grade: "good", answer: "Nothing", more: "in what the page could see" };
  const fresh = changes.filter((it) => now - it.at < FRESH_MS).map((it) => it.severity);
  const grade = fresh.includes("bad") ? "bad" : fresh.includes("warn") ? "warn" : "idle";
  const more = `last: ${newest.what}, ${ago((now - newest.at) / 1000)}`;
  return { grade, about: "past", answer: plural(changes.length, "change"), more };
};

/** Accounts of all gateways that were heard of, those that are gone as they were last told. */
export const accountsOf = (gateways: readonly Gateway[]): Sum =>
  sumAccounts(gateways.flatMap((it) => (it.sample === null ? [] : [it.sample.account])));

export const countOf = (presences: readonly Presence[], wanted: Presence): number =>
  presences.filter((it) => it === wanted).length;
