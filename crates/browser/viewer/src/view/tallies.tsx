//! The kinds of a channel with their counts, those with most first.

import { useState } from "preact/hooks";
import type { Totals } from "tally-client";
import { KINDS_SHOWN } from "../limits";
import { beat } from "../model/beat";
import { byCount, number, sum, toneOf } from "../model/words";

export const Tallies = ({ totals }: { totals: Totals }) => {
  beat.value;
  const [isAll, setAll] = useState(false);
  const sorted = byCount(totals);
  const shown = isAll ? sorted : sorted.slice(0, KINDS_SHOWN);
  const rest = sorted.length - shown.length;
  const all = Math.max(1, sum(totals));
  if (sorted.length === 0) return null;
  return (
    <ul class="tallies" aria-label="Events by kind">
      {shown.map(([kind, n]) => (
        <li
          key={kind}
          class={toneOf(kind)}
          title={`${kind}: ${number(n)}, ${((100 * n) / all).toFixed(1)} %`}
        >
          <span>{kind}</span>
          <b>{number(n)}</b>
          <i>
            <u style={{ width: `${Math.max(1.5, (100 * n) / all)}%` }} />
          </i>
        </li>
      ))}
      {sorted.length > KINDS_SHOWN ? (
        <li class="more">
          <button type="button" aria-expanded={isAll} onClick={() => setAll(!isAll)}>
            {isAll ? "Fewer" : `${rest} more kinds`}
          </button>
        </li>
      ) : null}
    </ul>
  );
};
