//! The account: advanced = full + counted + summarised, over every subscription there was. Green only at zero.

import { count, plural } from "../format.js";
import { byWhy } from "../model/account.js";
import { accountsOf } from "../model/verdict.js";
import type { Page } from "../page.js";
import { Icon } from "./icon.js";

export const Account = ({ page }: { page: Page }) => {
  const listed = page.listed.value;
  const known = listed.flatMap(({ gateway }) => (gateway.sample === null ? [] : [gateway.sample.account]));
  const sum = accountsOf(listed.map((it) => it.gateway));
  const gone = listed.filter((it) => it.presence === "gone" && it.gateway.sample !== null).length;
  const isGood = sum.lost === 0;
  const share = (n: number) => ({
    width: `${sum.advanced === 0 ? 0 : Math.min(100, (100 * n) / sum.advanced)}%`,
  });
  return (
    <section class="panel account" id="account" tabIndex={-1} aria-labelledby="account-title">
      <h2 id="account-title">The account</h2>
      <p class={`lost ${isGood ? "good" : "bad"}`} data-lost={sum.lost}>
        <Icon name={isGood ? "good" : "bad"} />
        <b>{count(sum.lost)}</b> lost
        <span>
          residual {count(sum.residual)}, {plural(sum.violations, "violation")}, {plural(sum.resets, "reset")}
        </span>
      </p>
      <span class="bar tall" aria-hidden="true">
        <i class="rung-full" style={share(sum.full)} />
        <i class="rung-counts" style={share(sum.counted)} />
        <i class="rung-summary" style={share(sum.summarised)} />
      </span>
      <table class="ledger">
        <tbody>
          <Line name="Cursors moved by" value={sum.advanced} isSum />
          <Line name="seen in full" value={sum.full} mark="rung-full" />
          <Line name="counted" value={sum.counted} mark="rung-counts" />
          <Line name="summarised" value={sum.summarised} mark="rung-summary" />
          <Line name="Residual" value={sum.residual} isSum />
        </tbody>
      </table>
      {byWhy(known).length > 0 && (
        <p class="whys">
          Counted and summarised because:{" "}
          {byWhy(known).map(([why, counted, summarised]) => (
            <span key={why}>
              {why} <b>{count(counted + summarised)}</b>
            </span>
          ))}
        </p>
      )}
      <p class="note">
        Events since each gateway's start, over {plural(sum.subscriptions, "subscription")} of{" "}
        {plural(sum.gateways, "gateway")}
        {gone > 0 ? `, ${count(gone)} of them gone (as last told)` : ""}. A reset is announced and closes a
        ledger; it loses nothing.
      </p>
    </section>
  );
};

const Line = ({
  name,
  value,
  mark,
  isSum,
}: {
  name: string;
  value: number;
  mark?: string;
  isSum?: boolean;
}) => (
  <tr class={isSum ? "sum" : ""}>
    <th scope="row">
      {mark && <i class={`swatch ${mark}`} />}
      {name}
    </th>
    <td class="number">{count(value)}</td>
  </tr>
);
