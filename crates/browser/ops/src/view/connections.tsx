//! Who is slow, and what they get: the slowest connections of every gateway, in one list.

import { bytes, count, millis, NONE, plural, span } from "../format.js";
import { type FleetConnection, matching } from "../model/connections.js";
import type { Page } from "../page.js";
import { NAMED_MAX, type Rung } from "../shape/detail.js";
import { ConnectionDrawer } from "./connection.js";
import { Icon } from "./icon.js";
import { Loading } from "./loading.js";
import { Search } from "./search.js";
import { type Column, Table } from "./table.js";

const ICONS = { full: "good", counts: "fewer", summary: "warn" } as const;

/** What was asked for is no trouble. */
const gradeOf = (rung: Rung, why: string | null) =>
  rung === "full" ? "good" : rung === "summary" && why !== "asked" ? "warn" : "idle";

/** A rung in its word and icon, and why. */
export const RungStatus = ({ rung, why }: { rung: Rung; why: string | null }) => (
  <span class={`status ${gradeOf(rung, why)}`}>
    <Icon name={why === "asked" && rung !== "full" ? "fewer" : ICONS[rung]} />
    {rung}
    {why !== null && rung !== "full" && <span class="why">{why}</span>}
  </span>
);

export const Connections = ({ page }: { page: Page }) => {
  const { search, connection } = page.route.value;
  if (page.listed.value.length === 0) return <Loading page={page} />;
  const all = page.connections.value;
  const rows = matching(all, search);
  const details = page.details.value;
  const open = details.reduce((sum, it) => sum + it.connections_n, 0);
  const now = page.now.value;
  return (
    <>
      <section class="panel" aria-labelledby="connections-title">
        <div class="panel-head">
          <h2 id="connections-title">Connections, slowest first</h2>
          <Search
            label="Search these connections"
            placeholder="Address, user agent, gateway, rung"
            page={page}
          />
        </div>
        <Table
          caption="Connections"
          rows={rows}
          rowKey={(row) => `${row.gateway}/${row.connection}`}
          columns={columnsAt(page, now)}
          selected={connection === null ? null : `${page.route.value.gateway}/${connection}`}
          onOpen={(row) => page.go({ connection: row.connection, gateway: row.gateway })}
          rowClass={(row) => row.rung}
          empty={
            details.length === 0
              ? "Waiting for what the gateways name; they do every 2 s."
              : search === ""
                ? "Nobody is connected."
                : `None of the ${count(all.length)} connections named here has “${search}” in it.`
          }
        />
        <p class="bounds">
          Each gateway names at most {NAMED_MAX} connections, the slowest by lag, then rung, then bytes due:{" "}
          {plural(all.length, "connection")} of {count(open)} on {plural(details.length, "gateway")}. Every 2
          s. Lag is the age of the oldest thing that is due to a connection. Search looks only at these.
        </p>
      </section>
      {connection !== null && (
        <ConnectionDrawer key={connection} page={page} id={connection} gateway={page.route.value.gateway} />
      )}
    </>
  );
};

const columnsAt = (page: Page, now: number): Column<FleetConnection>[] => [
  {
    id: "connection",
    head: "Connection",
    by: (row) => row.addr,
    cell: (row) => (
      <span class="two-lines">
        <code>{row.addr || row.connection}</code>
        <small class="agent" title={row.user_agent ?? ""}>
          {row.user_agent ?? "no user agent"}
        </small>
      </span>
    ),
  },
  {
    id: "lag",
    head: "Lag",
    isNumber: true,
    title: "Age of the oldest thing due",
    by: (row) => row.lag_ms,
    cell: (row) => millis(row.lag_ms),
  },
  {
    id: "due",
    head: "Due",
    isNumber: true,
    title: "Bytes due to it",
    by: (row) => row.due_bytes,
    cell: (row) => bytes(row.due_bytes),
  },
  {
    id: "rung",
    head: "Rung and why",
    room: "line",
    by: (row) => ({ summary: 0, counts: 1, full: 2 })[row.rung],
    cell: (row) => <RungStatus rung={row.rung} why={row.why} />,
  },
  {
    id: "rung-since",
    head: "For",
    isNumber: true,
    title: "How long it has been at this rung",
    by: (row) => -row.rung_since,
    cell: (row) => (row.rung_since === 0 ? NONE : span((now - row.rung_since) / 1000)),
  },
  {
    id: "out",
    head: "Gets",
    isNumber: true,
    title: "Bytes per second to it",
    by: (row) => row.out_bytes,
    cell: (row) => bytes(row.out_bytes, "/s"),
  },
  {
    id: "subscriptions",
    head: "Subscriptions",
    isNumber: true,
    by: (row) => row.subscriptions,
    cell: (row) => count(row.subscriptions),
  },
  {
    id: "gateway",
    head: "Gateway",
    by: (row) => page.nameOf(row.gateway),
    cell: (row) => page.nameOf(row.gateway),
  },
  {
    id: "since",
    head: "Connected",
    isNumber: true,
    by: (row) => -row.since,
    cell: (row) => span((now - row.since) / 1000),
  },
  {
    id: "errors",
    head: "Errors",
    isNumber: true,
    title: "Frames of it that were refused",
    by: (row) => row.errors,
    cell: (row) => count(row.errors),
  },
];
