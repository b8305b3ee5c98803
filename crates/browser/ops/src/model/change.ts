//! What changed in the last hour: read from the series each time anew, and from samples as they come.
//! Bounded: CHANGES_MAX of those from samples; those from series are as few as the series are long.

import { CHANGES_MAX, CHANGES_MS, GONE_AFTER_MS, SHARE_MOVE } from "../bounds.js";
import type { Sample } from "../shape/sample.js";
import { lostOf } from "./account.js";
import { type Gateway, type Presence, shiftOf } from "./fleet.js";
import { line, type Stretch } from "./series.js";

export type Severity = "bad" | "warn" | "good" | "note";

export interface Change {
  /** By the page's clock, in ms. */
  readonly at: number;
  readonly severity: Severity;
  /** The gateway's id; null: the fleet. */
  readonly gateway: string | null;
  /** A short name of what happened, and the sentence. */
  readonly what: string;
  readonly text: string;
}

/** An outage that may be shorter than what a history shows of it. */
const BLINK = "redis blinked";
/** A history's word on an outage counts for what samples said this near to it, in ms. */
const NEAR_MS = 30_000;

/** The steps of the ring that changes are read from: 10 s, one hour. */
const STEP = 10;

/** What is told by one sample after another: of what no history is kept. */
export const between = (before: Sample | null, now: Sample, at: number): Change[] => {
  if (before === null) return [];
  const changes: Change[] = [];
  const note = (severity: Severity, what: string, text: string) =>
    changes.push({ at, severity, gateway: now.gateway, what, text });
  const more = (read: (it: Sample) => number) => read(now) - read(before);
  const resets = more((it) => it.account.resets);
  if (resets > 0)
    note("warn", "reset", `${plural(resets, "subscription")} of ${now.name} had a reset: continuity broke`);
  const violations = more((it) => it.account.violations);
  if (violations > 0)
    note("bad", "violation", `Clients of ${now.name} reported ${plural(violations, "broken law")}`);
  const lost = more((it) => lostOf(it.account));
  if (lost > 0)
    note("bad", "lost", `The account of ${now.name} lacks ${plural(lostOf(now.account), "event")}`);
  if (lost < 0 && lostOf(now.account) === 0) note("good", "lost", `The account of ${now.name} closes again`);
  if (now.draining && !before.draining)
    note("note", "drain", `${now.name} drains: it takes no new connections`);
  if (more((it) => it.redis?.reconnects_total ?? 0) > 0) {
    note("warn", BLINK, `${now.name} lost its link to Redis and has it again`);
  }
  const messages = more((it) => it.redis?.lost_total ?? 0);
  if (messages > 0) {
    note(
      "warn",
      "overrun",
      `${now.name} was too busy for ${plural(messages, "message")} from Redis; told as counts`,
    );
  }
  return changes;
};

const plural = (n: number, word: string): string =>
  `${n.toLocaleString("en-US")} ${word}${n === 1 ? "" : "s"}`;

/** Changes as they come, the newest last. */
export class ChangeLog {
  readonly #changes: Change[] = [];

  push(changes: readonly Change[]): void {
    this.#changes.push(...changes);
    if (this.#changes.length > CHANGES_MAX) this.#changes.splice(0, this.#changes.length - CHANGES_MAX);
  }

  all(): readonly Change[] {
    return this.#changes;
  }
}

/** Everything of the last hour, the newest first, at most CHANGES_MAX. */
export const lastHour = (
  gateways: readonly Gateway[],
  log: ChangeLog,
  presence: (it: Gateway) => Presence,
  now: number,
): Change[] => {
  const from = now - CHANGES_MS;
  const oldest = Math.min(...gateways.map((it) => it.series.ring(STEP).oldest));
  const read = gateways.flatMap((it) => [
    ...coming(it, oldest),
    ...going(it, presence(it), now),
    ...links(it, now),
  ]);
  const isTold = ({ what, gateway, at }: Change) =>
    what === BLINK &&
    read.some((it) => it.what === "redis up" && it.gateway === gateway && Math.abs(it.at - at) <= NEAR_MS);
  return [...together([...read, ...log.all().filter((change) => !isTold(change))]), ...shares(gateways, now)]
    .filter((change) => change.at >= from && change.at <= now + STEP * 1000)
    .sort((a, b) => b.at - a.at)
    .slice(0, CHANGES_MAX);
};

/** `oldest`: where anybody's series begins; who was there already did not come. */
const coming = (it: Gateway, oldest: number): Change[] => {
  const say = (at: number): Change[] => [
    { at, severity: "note", gateway: it.id, what: "came", text: `${it.name} came` },
  ];
  if (it.sample !== null) return say(it.sample.started_at + shiftOf(it) * 1000);
  const first = it.series.ring(STEP).oldest;
  return Number.isFinite(first) && first > oldest + GONE_AFTER_MS / 1000 / STEP
    ? say(first * STEP * 1000)
    : [];
};

const going = (it: Gateway, presence: Presence, now: number): Change[] => {
  const say = (severity: Severity, text: string): Change[] => [
    { at: it.heardAt, severity, gateway: it.id, what: "left", text },
  ];
  if (presence === "silent") {
    return say(
      "warn",
      `${it.name} is silent: nothing from it for ${Math.round((now - it.heardAt) / 1000)} s`,
    );
  }
  if (presence !== "gone") return [];
  if (it.isLeaving || it.sample?.draining === true) return say("note", `${it.name} left after draining`);
  return say("bad", `${it.name} is gone: it stopped without draining`);
};

/** What befalls several gateways at once, and how that is told. */
const TOGETHER: ReadonlyMap<string, string> = new Map([
  ["redis down", "gateways lost their link to Redis"],
  ["redis up", "gateways have their link to Redis again"],
  [BLINK, "gateways lost their link to Redis and have it again"],
]);

/** What befell several gateways at once is told once. */
const together = (changes: readonly Change[]): Change[] => {
  const groups = new Map<string, Change[]>();
  for (const change of changes) {
    const isShared = TOGETHER.has(change.what);
    const key = isShared ? `${change.what} ${Math.floor(change.at / 1000 / STEP)}` : `${groups.size}`;
    groups.set(key, [...(groups.get(key) ?? []), change]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length === 1) return group;
    return [{ ...first, gateway: null, text: `${group.length} ${TOGETHER.get(first.what)}` }];
  });
};

/** Redis away and back, as one gateway saw it. */
const links = (it: Gateway, now: number): Change[] => {
  const stretch = hourTo(now);
  const up = line([it.series], "up", stretch);
  const changes: Change[] = [];
  // A gateway that has just started has no link yet: it neither lost one nor has it again.
  let wasUp: boolean | null = null;
  let hadLink = false;
  for (const [i, value] of up.entries()) {
    if (value === null) continue;
    const isUp = value === 1;
    const at = timeOf(stretch, i);
    const say = (severity: Severity, what: string, text: string) =>
      changes.push({ at, severity, gateway: it.id, what, text: `${it.name} ${text}` });
    if (!isUp && wasUp) say("bad", "redis down", "lost its link to Redis");
    if (isUp && wasUp === false && hadLink) say("good", "redis up", "has its link to Redis again");
    wasUp = isUp;
    hadLink ||= isUp;
  }
  return changes;
};

/** The share of the fleet's connections that are below full, where it moved. */
const shares = (gateways: readonly Gateway[], now: number): Change[] => {
  const stretch = hourTo(now);
  const all = gateways.map((it) => it.series);
  const full = line(all, "rung_full", stretch);
  const counts = line(all, "rung_counts", stretch);
  const summary = line(all, "rung_summary", stretch);
  const changes: Change[] = [];
  let held: number | null = null;
  for (const [i, onFull] of full.entries()) {
    const below = (counts[i] ?? 0) + (summary[i] ?? 0);
    const n = (onFull ?? 0) + below;
    if (onFull === null || n < 1) continue;
    const share = below / n;
    held ??= share;
    if (Math.abs(share - held) < SHARE_MOVE) continue;
    const text = `Connections below full: ${percent(held)} → ${percent(share)} (${Math.round(below)} of ${Math.round(n)})`;
    const severity = share > held ? "warn" : "good";
    changes.push({ at: timeOf(stretch, i), severity, gateway: null, what: "rungs", text });
    held = share;
  }
  return changes;
};

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const hourTo = (now: number): Stretch => ({ step: STEP, slots: 360, to: Math.floor(now / 1000 / STEP) });

const timeOf = ({ step, slots, to }: Stretch, i: number): number => (to - slots + 1 + i) * step * 1000;
