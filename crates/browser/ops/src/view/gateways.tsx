//! The gateways of the fleet, one row each: they come with their first sample, and leave an hour after their last.

import { ago, bytes, core, count, latency, millis, NONE, percent, rate, span } from "../format.js";
import type { Deaf } from "../link/link.js";
import { lostOf } from "../model/account.js";
import type { Presence } from "../model/fleet.js";
import type { Listed, Page } from "../page.js";
import type { ByRung } from "../shape/sample.js";
import { Icon, Status } from "./icon.js";
import { type Column, Table } from "./table.js";

const GRADES: Record<Presence, string> = { running: "good", draining: "warn", silent: "warn", gone: "idle" };
const ORDER: Record<Presence, number> = { running: 0, draining: 1, silent: 2, gone: 3 };

export const PresenceStatus = ({ presence }: { presence: Presence }) => (
  <Status grade={GRADES[presence]} icon={presence} word={presence} />
);

/** Shares of the rungs as a bar, and in words. */
export const RungBar = ({ of }: { of: ByRung }) => {
  const all = of.full + of.counts + of.summary;
  const words = `full ${count(of.full)}, counts ${count(of.counts)}, summary ${count(of.summary)}`;
  const width = (n: number) => ({ width: `${all === 0 ? 0 : (100 * n) / all}%` });
  return (
    <span class="rung-bar" title={words}>
      <span class="bar" aria-hidden="true">
        <i class="rung-full" style={width(of.full)} />
        <i class="rung-counts" style={width(of.counts)} />
        <i class="rung-summary" style={width(of.summary)} />
      </span>
      <span class="unseen">{words}</span>
      <span class="rung-figure">{all === 0 ? NONE : percent(of.full / all)}</span>
    </span>
  );
};

export const Gateways = ({ page }: { page: Page }) => {
  const now = page.now.value;
  const rows = [...page.listed.value].sort(
    (a, b) =>
      ORDER[a.presence] - ORDER[b.presence] ||
      (a.gateway.name < b.gateway.name
        ? -1
        : a.gateway.name > b.gateway.name
          ? 1
          : b.gateway.heardAt - a.gateway.heardAt),
  );
  return (
    <section class="panel" id="redis" tabIndex={-1} aria-labelledby="gateways-title">
      <h2 id="gateways-title">Gateways</h2>
      <Table
        caption="Gateways and what each does"
        rows={rows}
        rowKey={(row) => row.gateway.id}
        columns={columnsAt(now, page.deaf.value?.is ?? null)}
        selected={page.route.value.gateway}
        onOpen={(row) => page.go({ gateway: row.gateway.id })}
        rowClass={(row) => row.presence}
        empty="No gateway has spoken in the last hour."
      />
    </section>
  );
};

const columnsAt = (now: number, deaf: Deaf["is"] | null): Column<Listed>[] => [
  {
    id: "name",
    head: "Gateway",
    by: (row) => row.gateway.name,
    cell: (row) => (
      <span class="two-lines">
        <b>{row.gateway.name}</b>
        <code>{row.gateway.id}</code>
      </span>
    ),
  },
  {
    id: "state",
    head: "State",
    by: (row) => ORDER[row.presence],
    cell: (row) => (
      <span class="two-lines">
        <PresenceStatus presence={row.presence} />
        <small>
          {deaf === null && (row.presence === "running" || row.presence === "draining")
            ? `up ${span(row.gateway.sample?.uptime_s ?? 0)}`
            : `last heard ${ago((now - row.gateway.heardAt) / 1000)}`}
        </small>
      </span>
    ),
  },
  figureColumn("connections", "Connections", (it) => it.connections, count),
  {
    id: "rungs",
    head: "At full",
    title: "Share of connections at full; the bar: full, counts, summary",
    isNumber: true,
    cell: ({ gateway }) =>
      gateway.sample === null ? NONE : <RungBar of={gateway.sample.connections_by_rung} />,
  },
  figureColumn(
    "in",
    "Events in",
    (it) => it.in.events,
    (n) => rate(n),
  ),
  figureColumn(
    "out",
    "Deliveries",
    (it) => it.out.frames,
    (n) => rate(n),
    "Frames that sockets took, per second",
  ),
  figureColumn(
    "bytes",
    "Out",
    (it) => it.out.bytes,
    (n) => bytes(n, "/s"),
  ),
  figureColumn("p99", "p99", (it) => it.latency?.p99 ?? null, latency, "Publish to socket, 99th percentile"),
  {
    id: "redis",
    head: "Redis",
    title: "The link, and the last probe's round trip",
    by: ({ gateway }) => (gateway.sample?.redis ? Number(gateway.sample.redis.up) : null),
    cell: ({ gateway: { sample } }) => {
      if (sample === null) return NONE;
      if (sample.redis === null) return <span class="dim">embedded</span>;
      const { up, probe_ms, since } = sample.redis;
      // What it said last was before the link that tells of it went down.
      if (deaf === "upstream") return <Status grade="warn" icon="warn" word="not known" />;
      return (
        <span class="two-lines">
          <Status grade={up ? "good" : "bad"} icon={up ? "good" : "bad"} word={up ? "up" : "down"} />
          <small>{up ? `probe ${millis(probe_ms)}` : `since ${span((now - since) / 1000)}`}</small>
        </span>
      );
    },
  },
  figureColumn("cpu", "CPU", (it) => it.cpu_percent, core, "Percent of one core"),
  figureColumn(
    "rss",
    "Memory",
    (it) => it.rss_bytes,
    (n) => bytes(n),
  ),
  {
    id: "lost",
    head: "Lost",
    isNumber: true,
    title: "What the account lacks, and violations that clients reported",
    by: ({ gateway }) => (gateway.sample === null ? null : lostOf(gateway.sample.account)),
    cell: ({ gateway: { sample } }) => {
      if (sample === null) return NONE;
      const lost = lostOf(sample.account);
      return (
        <span class={`status ${lost === 0 ? "good" : "bad"}`}>
          <Icon name={lost === 0 ? "good" : "bad"} />
          {count(lost)}
        </span>
      );
    },
  },
];

function figureColumn(
  id: string,
  head: string,
  read: (sample: NonNullable<Listed["gateway"]["sample"]>) => number | null,
  format: (n: number | null) => string,
  title?: string,
): Column<Listed> {
  const value = ({ gateway, presence }: Listed) =>
    gateway.sample === null || presence === "gone" ? null : read(gateway.sample);
  return {
    id,
    head,
    ...(title === undefined ? {} : { title }),
    isNumber: true,
    by: value,
    cell: (row) => format(value(row)),
  };
}
