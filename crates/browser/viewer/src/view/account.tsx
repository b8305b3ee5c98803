//! The ledger as one line that closes, and as a table by kind for who wants to see it.

import { useState } from "preact/hooks";
import type { LedgerView } from "tally-client";
import { byWhy, kindRows, type Sums, sumsOf } from "../model/account";
import { beat } from "../model/beat";
import type { Channel } from "../model/channel";
import { number } from "../model/words";
import { Check, Cross } from "./icons";

export const AccountBar = ({ channel }: { channel: Channel }) => {
  beat.value;
  const [isOpen, setOpen] = useState(false);
  const { ledger } = channel.subscription;
  if (!ledger) {
    return (
      <footer class="account">
        <p class="soft">No account yet: it begins with the attach.</p>
      </footer>
    );
  }
  const sums = sumsOf(ledger);
  return (
    <footer class={`account ${sums.closes ? "closes" : "broken"}`} data-closes={sums.closes}>
      {isOpen ? <Table ledger={ledger} resets={channel.resets} /> : null}
      <Shares sums={sums} />
      <div class="equation">
        <Term n={sums.published} word="published" sign="" name="published" />
        <Term n={sums.attached} word="before you came" sign="=" name="attached" />
        <Term n={sums.full} word="seen in full" sign="+" name="full" />
        <Term n={sums.counted} word="counted" sign="+" name="counted" />
        <Term n={sums.summarised} word="summarised" sign="+" name="summarised" />
        <p class="verdict">
          {sums.closes ? <Check /> : <Cross />}
          <span>{sums.closes ? "Every event accounted for" : "The account does not close"}</span>
        </p>
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Close" : "By kind"}
        </button>
      </div>
    </footer>
  );
};

const Term = ({ n, word, sign, name }: { n: number; word: string; sign: string; name: string }) => (
  <p class={`term ${name}`}>
    <span class="sign">{sign}</span>
    <b>{number(n)}</b>
    <span>{word}</span>
  </p>
);

/** What share of everything came in which form. The numbers below say the same. */
const Shares = ({ sums }: { sums: Sums }) => {
  const all = Math.max(1, sums.published);
  return (
    <div class="shares" aria-hidden="true">
      {(["attached", "full", "counted", "summarised"] as const).map((name) => (
        <i key={name} class={name} style={{ width: `${(100 * sums[name]) / all}%` }} />
      ))}
    </div>
  );
};

const Table = ({ ledger, resets }: { ledger: LedgerView; resets: number }) => {
  beat.value;
  const whys = byWhy(ledger).map(([why, n]) => `${number(n)} ${why}`);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
    <section class="by-kind" aria-label="The account by kind" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">kind</th>
            <th scope="col">before</th>
            <th scope="col">in full</th>
            <th scope="col">counted</th>
            <th scope="col">summarised</th>
            <th scope="col">published</th>
          </tr>
        </thead>
        <tbody>
          {kindRows(ledger).map(([kind, ...cells]) => (
            <tr key={kind}>
              <th scope="row">{kind}</th>
              {cells.map((n, i) => (
                <td key={i} class={n === 0 ? "zero" : ""}>
                  {number(n)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="soft">
        {whys.length > 0 ? `Not in full: ${whys.join(", ")}.` : "All of it in full."}
        {resets > 0
          ? ` ${number(resets)} earlier ${resets === 1 ? "account" : "accounts"} ended with a reset.`
          : ""}{" "}
        Epoch {ledger.epoch ?? "none yet"}.
      </p>
    </section>
  );
};
