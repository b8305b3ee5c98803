//! One gateway: what it is, its charts, its totals since the start, and how to drain it.

import { ago, bytes, count, latency, millis, NONE, span, time } from "../format.js";
import { lostOf, residualOf, totalOf } from "../model/account.js";
import { shiftOf } from "../model/fleet.js";
import type { Page } from "../page.js";
import type { Sample } from "../shape/sample.js";
import { Charts } from "./charts.js";
import { Drawer, Facts } from "./drawer.js";
import { PresenceStatus, RungBar } from "./gateways.js";
import { Icon } from "./icon.js";

export const GatewayDrawer = ({ page, id }: { page: Page; id: string }) => {
  const gateway = page.gateway(id);
  const close = () => page.go({ gateway: null });
  const now = page.now.value;
  if (gateway === undefined) {
    return (
      <Drawer kind="Gateway" title={id} onClose={close}>
        <p class="empty">
          This gateway is not among those that the page knows. It may have been gone for longer than 6 h.
        </p>
      </Drawer>
    );
  }
  const presence = page.presence(gateway);
  const { sample } = gateway;
  const isThere = presence === "running" || presence === "draining";
  return (
    <Drawer kind="Gateway" title={gateway.name} onClose={close}>
      <Facts
        facts={[
          ["State", <PresenceStatus key="state" presence={presence} />],
          ["Last heard", `${time(gateway.heardAt)}, ${ago((now - gateway.heardAt) / 1000)}`],
          ["Id", <code key="id">{id}</code>],
          ...(sample === null ? [] : factsOf(sample, shiftOf(gateway))),
        ]}
      />
      {presence === "running" && (
        <div class="actions">
          <button type="button" class="danger" onClick={() => confirmDrain(page, id, gateway.name, sample)}>
            <Icon name="draining" /> Drain…
          </button>
        </div>
      )}
      {!isThere && <p class="empty">It does not speak; what follows is what it last said.</p>}
      <Charts page={page} gateway={id} />
      {sample !== null && (
        <>
          <Shards sample={sample} />
          <Sums title="Rung changes" unit="since start" of={sample.rung_changes_total} />
          <Sums title="Closed connections" unit="since start, by code" of={sample.closed_total} />
          <Sums title="Refused" unit="since start, by code" of={sample.refused_total} />
        </>
      )}
    </Drawer>
  );
};

const factsOf = (it: Sample, shift_s: number): [string, preact.ComponentChildren][] => [
  ["Version", it.version || NONE],
  ["Started", `${time(it.started_at)}, up ${span(it.uptime_s)}`],
  ["Listens", <code key="listen">{it.listen}</code>],
  ["Admin", <code key="admin">{it.admin}</code>],
  ...(shift_s === 0
    ? []
    : [
        ["Clock", `${span(Math.abs(shift_s))} ${shift_s > 0 ? "behind" : "ahead of"} this browser's`] as [
          string,
          string,
        ],
      ]),
  ["Connections", count(it.connections)],
  ["By rung", <RungBar key="rungs" of={it.connections_by_rung} />],
  [
    "Subscriptions",
    `${count(it.subscriptions.full)} full, ${count(it.subscriptions.counts)} counts, ${count(it.subscriptions.summary)} summary, ${count(it.subscriptions.pending)} pending`,
  ],
  ["Channels", `${count(it.channels)} held, ${count(it.interest)} listened to`],
  [
    "Publish to socket",
    it.latency === null
      ? NONE
      : `p50 ${latency(it.latency.p50)}, p90 ${latency(it.latency.p90)}, p99 ${latency(it.latency.p99)}, max ${latency(it.latency.max)}`,
  ],
  ["Redis", it.redis === null ? "embedded backplane" : redisWords(it.redis)],
  [
    "Account",
    `${count(it.account.advanced)} = ${count(it.account.full)} full + ${count(totalOf(it.account.counted))} counted + ${count(totalOf(it.account.summarised))} summarised`,
  ],
  [
    "Lost",
    `${count(lostOf(it.account))} (residual ${count(residualOf(it.account))}, violations ${count(it.account.violations)}); resets ${count(it.account.resets)}`,
  ],
  ["Buffers", `${bytes(it.log_bytes)} logs, ${bytes(it.inbox_bytes)} inboxes`],
  ["Partial writes", `${count(it.partial_writes)}; records evicted ${count(it.evicted)}`],
];

const redisWords = (it: NonNullable<Sample["redis"]>): string => {
  const link = it.up
    ? `up since ${time(it.since)}`
    : `down since ${time(it.since)}${it.reason ? `: ${it.reason}` : ""}`;
  return `${link}; probe ${millis(it.probe_ms)}; ${count(it.reconnects_total)} reconnects, ${count(it.lost_total)} messages lost`;
};

const Shards = ({ sample }: { sample: Sample }) => (
  <section>
    <h3>Shards</h3>
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">Shard</th>
          <th scope="col" class="number">
            Connections
          </th>
          <th scope="col" class="number">
            Subscriptions
          </th>
          <th scope="col" class="number">
            Events/s
          </th>
          <th scope="col" class="number">
            Deliveries/s
          </th>
          <th scope="col" class="number">
            Busy
          </th>
        </tr>
      </thead>
      <tbody>
        {sample.shards.map((it, i) => (
          <tr key={i}>
            <th scope="row">{i}</th>
            <td class="number">{count(it.connections)}</td>
            <td class="number">{count(it.subscriptions)}</td>
            <td class="number">{count(it.events_per_s)}</td>
            <td class="number">{count(it.deliveries_per_s)}</td>
            <td class="number">{count(it.busy_percent)} %</td>
          </tr>
        ))}
      </tbody>
    </table>
  </section>
);

/** Words shown of a list; the largest. */
const SUMS_MAX = 12;

const Sums = ({ title, unit, of }: { title: string; unit: string; of: ReadonlyMap<string, number> }) => {
  const largest = [...of].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  if (largest.length === 0) return null;
  return (
    <section>
      <h3>
        {title} <span class="unit">{unit}</span>
      </h3>
      <table class="plain">
        <tbody>
          {largest.slice(0, SUMS_MAX).map(([name, n]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="number">{count(n)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
};

const confirmDrain = (page: Page, id: string, name: string, sample: Sample | null) => {
  page.confirming.value = {
    order: { what: "drain" },
    gateway: id,
    title: `Drain ${name}?`,
    text: `It takes no new connections, asks its ${count(sample?.connections ?? 0)} connections to come back elsewhere over up to 25 s, and then ends, as with a shutdown signal. It does not start again by itself.`,
    verb: `Drain ${name}`,
    done: `${name} drains.`,
  };
};
