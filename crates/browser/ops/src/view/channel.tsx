//! One channel: its last five minutes of rate and rungs, and what each gateway does with it.

import { useEffect, useState } from "preact/hooks";
import { bytes, count, NONE, percent, plural, rate } from "../format.js";
import { type FleetChannel, mergeChannels, mergeHistories } from "../model/channels.js";
import { type Page, wordsOf } from "../page.js";
import { type ChannelPoint, readChannelAnswer } from "../shape/answer.js";
import type { ChannelDetail } from "../shape/detail.js";
import { Chart } from "./chart.js";
import { Drawer, Facts } from "./drawer.js";
import { RungBar } from "./gateways.js";

/** How often it is asked for, in ms: each answer has five minutes of each gateway. */
const EVERY_MS = 2_000;

interface Told {
  readonly merged: FleetChannel | null;
  readonly gateways: readonly (readonly [id: string, detail: ChannelDetail])[];
  readonly points: readonly ChannelPoint[];
}

export const ChannelDrawer = ({ page, name }: { page: Page; name: string }) => {
  const { told, trouble } = useTold(page, name);
  const live = page.channels.value.find((it) => it.channel === name) ?? null;
  const merged = told?.merged ?? live;
  return (
    <Drawer kind="Channel" title={<code>{name}</code>} onClose={() => page.go({ channel: null })}>
      {trouble !== "" && <p class="trouble">{trouble}</p>}
      {merged === null ? (
        <p class="empty">
          {told === null
            ? "Asking the gateways…"
            : "No gateway holds this channel: nobody listens to it now."}
        </p>
      ) : (
        <ChannelFacts it={merged} />
      )}
      <History points={told?.points ?? []} isTold={told !== null} />
      {told !== null && told.gateways.length > 0 && <Split page={page} of={told.gateways} />}
      <p class="bounds">
        Five minutes in steps of 1 s. A gateway keeps them only for channels that were asked for in the last 5
        min or were among its first {50}; so a channel's history may begin now.
      </p>
    </Drawer>
  );
};

const useTold = (page: Page, name: string) => {
  const [told, setTold] = useState<Told | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const answers = await page.ask({ what: "channel", channel: name, limit: 1 }, null);
        const read = [...answers].flatMap(([id, [answer]]) =>
          answer?.ok ? [[id, readChannelAnswer(answer)] as const] : [],
        );
        const gateways = read.flatMap(([id, { channels }]) => channels.map((it) => [id, it] as const));
        const [merged] = mergeChannels(read.map(([id, { channels }]) => [id, channels] as const));
        if (isOver) return;
        setTold({
          merged: merged ?? null,
          gateways,
          points: mergeHistories(read.map(([, it]) => it.history)),
        });
        const [wrong] = [...answers.values()].flat().filter((answer) => !answer.ok);
        setTrouble(wrong?.error ?? "");
      } catch (error) {
        if (!isOver) setTrouble(wordsOf(error));
      }
      if (!isOver) timer = setTimeout(ask, EVERY_MS);
    };
    ask();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [page, name]);
  return { told, trouble };
};

const ChannelFacts = ({ it }: { it: FleetChannel }) => (
  <Facts
    facts={[
      ["Rate", rate(it.rate, "events/s")],
      [
        "Listeners",
        `${plural(it.listeners, "listener")}: ${count(it.full)} full, ${count(it.counts)} counts, ${count(it.summary)} summary`,
      ],
      ["At full", <RungBar key="rungs" of={it} />],
      ["Counted", it.counted === null ? NONE : `${percent(it.counted)} of the events delivered`],
      ["In", bytes(it.inBytes, "/s")],
      ["Out", `${bytes(it.outBytes, "/s")} to all listeners`],
      ["Events so far", count(it.seq)],
    ]}
  />
);

const SLOTS = 300;

const History = ({ points, isTold }: { points: readonly ChannelPoint[]; isTold: boolean }) => {
  const to = points.at(-1)?.at ?? Math.floor(Date.now() / 1000);
  const byAt = new Map(points.map((point) => [point.at, point]));
  const times = Array.from({ length: SLOTS }, (_, i) => to - SLOTS + 1 + i);
  const read = (of: (it: ChannelPoint) => number) =>
    times.map((at) => {
      const point = byAt.get(at);
      return point === undefined ? null : of(point);
    });
  const empty = isTold ? "nothing is remembered of it yet" : "asking…";
  return (
    <div class="charts">
      <Chart
        title="Rate"
        unit="events/s"
        times={times}
        lines={[{ label: "rate", colour: "accent", values: read((it) => it.rate) }]}
        format={(value) => rate(value)}
        top={5}
        empty={empty}
      />
      <Chart
        title="Listeners by rung"
        unit="listeners"
        times={times}
        lines={[
          {
            label: "full",
            colour: "rung-full",
            values: read((it) => it.full + it.counts + it.summary),
            told: read((it) => it.full),
            isFilled: true,
          },
          {
            label: "counts",
            colour: "rung-counts",
            values: read((it) => it.counts + it.summary),
            told: read((it) => it.counts),
            isFilled: true,
          },
          {
            label: "summary",
            colour: "rung-summary",
            values: read((it) => it.summary),
            told: read((it) => it.summary),
            isFilled: true,
          },
        ]}
        format={(value) => count(value)}
        top={2}
        empty={empty}
      />
    </div>
  );
};

const Split = ({ page, of }: { page: Page; of: readonly (readonly [string, ChannelDetail])[] }) => (
  <section>
    <h3>By gateway</h3>
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Gateway</th>
          <th scope="col" class="number">
            Rate
          </th>
          <th scope="col" class="number">
            Listeners
          </th>
          <th scope="col" class="number">
            In full
          </th>
          <th scope="col" class="number">
            Counted
          </th>
          <th scope="col" class="number">
            Out
          </th>
        </tr>
      </thead>
      <tbody>
        {of.map(([id, it]) => (
          <tr key={id}>
            <th scope="row">{page.nameOf(id)}</th>
            <td class="number">{rate(it.rate)}</td>
            <td class="number">{count(it.listeners.full + it.listeners.counts + it.listeners.summary)}</td>
            <td class="number">{rate(it.full_events)}</td>
            <td class="number">{rate(it.counted_events)}</td>
            <td class="number">{bytes(it.out_bytes, "/s")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);
