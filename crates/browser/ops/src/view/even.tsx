//! Whether load is even: the fullest against the mean, over gateways and over all their shards.

import { useState } from "preact/hooks";
import { count, figure, plural, ratio } from "../format.js";
import { type Evenness, evenness, evenWord } from "../model/even.js";
import { EVEN_LEAST } from "../model/verdict.js";
import type { Page } from "../page.js";
import type { Sample, Shard } from "../shape/sample.js";
import { Status } from "./icon.js";

type Measure = "connections" | "deliveries" | "busy";

interface Spread {
  readonly words: string;
  readonly unit: string;
  readonly least: number;
  readonly gateway: (it: Sample) => number;
  readonly shard: (it: Shard) => number;
}

const SPREADS: Record<Measure, Spread> = {
  connections: {
    words: "Connections",
    unit: "",
    least: EVEN_LEAST,
    gateway: (it) => it.connections,
    shard: (it) => it.connections,
  },
  deliveries: {
    words: "Deliveries",
    unit: "/s",
    least: EVEN_LEAST,
    gateway: (it) => it.shards.reduce((sum, shard) => sum + shard.deliveries_per_s, 0),
    shard: (it) => it.deliveries_per_s,
  },
  busy: {
    words: "Busy",
    unit: "%",
    least: 2,
    gateway: (it) => it.cpu_percent ?? 0,
    shard: (it) => it.busy_percent,
  },
};

/** Whole figures without a fraction. */
const tidy = (n: number): string => (Number.isInteger(n) ? count(n) : figure(n));

/** Bars shown; of more shards, the fullest. */
const BARS_MAX = 16;

const GRADES = { even: "good", uneven: "warn", "very uneven": "bad", "too little to say": "idle" } as const;

export const Even = ({ page }: { page: Page }) => {
  const [measure, setMeasure] = useState<Measure>("connections");
  const spread = SPREADS[measure];
  const samples = page.samples.value;
  const shards = samples
    .flatMap((it) =>
      it.shards.map((shard, i) => ({
        name: `${it.name} / ${i}`,
        key: `${it.gateway}/${i}`,
        value: spread.shard(shard),
      })),
    )
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const fullest =
    shards.length > BARS_MAX ? [...shards].sort((a, b) => b.value - a.value).slice(0, BARS_MAX) : shards;
  const overShards = evenness(
    shards.map((it) => it.value),
    spread.least,
  );
  const overGateways = evenness(samples.map(spread.gateway), spread.least);
  const top = Math.max(overShards.max, 1);
  return (
    <section class="panel even" id="even" tabIndex={-1} aria-labelledby="even-title">
      <h2 id="even-title">Evenness</h2>
      <fieldset class="choice" aria-label="Measured by">
        {(Object.keys(SPREADS) as Measure[]).map((name) => (
          <button type="button" key={name} aria-pressed={measure === name} onClick={() => setMeasure(name)}>
            {SPREADS[name].words}
          </button>
        ))}
      </fieldset>
      <table class="ledger">
        <thead>
          <tr>
            <th scope="col">Over</th>
            <th scope="col" class="number">
              Max / mean
            </th>
            <th scope="col">Says</th>
          </tr>
        </thead>
        <tbody>
          <Over name={`${plural(overGateways.n, "gateway")}`} of={overGateways} />
          <Over name={`${plural(overShards.n, "shard")}`} of={overShards} />
        </tbody>
      </table>
      <ul class="bars">
        {fullest.map(({ key, name, value }) => (
          <li key={key}>
            <span class="bar-name">{name}</span>
            <span class="bar" aria-hidden="true">
              <i class="accent" style={{ width: `${(100 * value) / top}%` }} />
              <i class="mean" style={{ left: `${(100 * overShards.mean) / top}%` }} />
            </span>
            <span class="bar-figure">
              {tidy(value)}
              {spread.unit}
            </span>
          </li>
        ))}
      </ul>
      <p class="note">
        The mark is the mean, {tidy(overShards.mean)}
        {spread.unit} per shard.
        {shards.length > BARS_MAX ? ` The ${BARS_MAX} fullest of ${count(shards.length)} shards.` : ""} Even
        is up to 1.25 ×.
      </p>
    </section>
  );
};

const Over = ({ name, of }: { name: string; of: Evenness }) => {
  const word = evenWord(of);
  const grade = GRADES[word];
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{ratio(of.ratio)}</td>
      <td>
        <Status grade={grade} icon={grade} word={word} />
      </td>
    </tr>
  );
};
