//! The fleet at a glance: six answers, totals, charts, gateways, the account, evenness, what changed.

import { GATEWAYS_MAX } from "../bounds.js";
import { bytes, count, plural, rate } from "../format.js";
import { totalsOf } from "../model/totals.js";
import type { Page } from "../page.js";
import { Account } from "./account.js";
import { Changes } from "./changes.js";
import { Charts } from "./charts.js";
import { Even } from "./even.js";
import { GatewayDrawer } from "./gateway.js";
import { Gateways } from "./gateways.js";
import { Loading } from "./loading.js";
import { Verdicts } from "./verdicts.js";

export const Fleet = ({ page }: { page: Page }) => {
  if (page.listed.value.length === 0) return <Loading page={page} />;
  const { gateway } = page.route.value;
  return (
    <>
      <Verdicts page={page} />
      <Totals page={page} />
      <Charts page={page} gateway={null} />
      <Gateways page={page} />
      <div class="thirds">
        <Account page={page} />
        <Even page={page} />
        <Changes page={page} />
      </div>
      <p class="bounds">
        At most {GATEWAYS_MAX} gateways are held; of more, the longest silent goes first. A gateway is silent
        after 5 s without a sample, gone after 60 s, and leaves the table after 1 h. Charts come from the
        gateways' memory: 5 min in steps of 1 s, 1 h of 10 s, 6 h of 60 s.
      </p>
      {gateway !== null && <GatewayDrawer key={gateway} page={page} id={gateway} />}
    </>
  );
};

const Totals = ({ page }: { page: Page }) => {
  const all = totalsOf(page.samples.value);
  const figures: [name: string, figure: string, more: string][] = [
    ["Gateways", count(all.gateways), plural(all.shards, "shard")],
    ["Connections", count(all.connections), `${count(all.subscriptions)} subscriptions`],
    ["Channels", count(all.channels), "held by gateways"],
    ["Interest", count(all.interest), "channels listened to"],
    ["Events in", rate(all.eventsIn), bytes(all.bytesIn, "/s")],
    ["Deliveries", rate(all.frames), "frames to sockets"],
    ["Events in full", rate(all.eventsOut), `${rate(all.reduced)} only counted`],
    ["Out", bytes(all.bytesOut, "/s"), "to sockets"],
  ];
  return (
    <dl class="totals panel" aria-label="Totals of all gateways that speak">
      {figures.map(([name, figure, more]) => (
        <div key={name} data-total={name}>
          <dt>{name}</dt>
          <dd>
            <b>{figure}</b>
            <span>{more}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
};
