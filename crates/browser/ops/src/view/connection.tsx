//! One connection: what is due to it, each subscription, how its rung went; and what can be done to it.

import { useEffect, useState } from "preact/hooks";
import { ago, bytes, count, millis, NONE, plural, rate, span, time } from "../format.js";
import { type Confirming, type Page, wordsOf } from "../page.js";
import {
  type ConnectionAnswer,
  type RungMove,
  readConnectionAnswer,
  type SubscriptionDetail,
} from "../shape/answer.js";
import type { ConnectionDetail } from "../shape/detail.js";
import { RungStatus } from "./connections.js";
import { Drawer, Facts } from "./drawer.js";
import { Icon } from "./icon.js";

/** How often it is asked for, in ms. */
const EVERY_MS = 2_000;
/** Subscriptions that a gateway tells of one connection. */
const TOLD_MAX = 100;

export const ConnectionDrawer = ({
  page,
  id,
  gateway,
}: {
  page: Page;
  id: string;
  gateway: string | null;
}) => {
  const { told, trouble } = useTold(page, id, gateway);
  const listed = page.connections.value.find((it) => it.connection === id && it.gateway === gateway);
  const it: ConnectionDetail | undefined = told?.connection ?? listed;
  const close = () => page.go({ connection: null, gateway: null });
  const isGone = trouble !== "" && listed === undefined;
  return (
    <Drawer kind="Connection" title={<code>{it?.addr || id}</code>} onClose={close}>
      {trouble !== "" && <p class="trouble">{trouble}</p>}
      {it === undefined && trouble === "" && <p class="empty">Asking {page.nameOf(gateway ?? "")}…</p>}
      {it !== undefined && (
        <>
          {gateway !== null && !isGone && (
            <div class="actions">
              <button type="button" onClick={() => confirm(page, gateway, it, "reconnect")}>
                <Icon name="reconnect" /> Ask to reconnect…
              </button>
              <button type="button" class="danger" onClick={() => confirm(page, gateway, it, "disconnect")}>
                <Icon name="close" /> Disconnect…
              </button>
            </div>
          )}
          <ConnectionFacts
            it={it}
            gateway={gateway === null ? NONE : page.nameOf(gateway)}
            now={page.now.value}
          />
        </>
      )}
      {told !== null && <Moves moves={told.history} now={page.now.value} />}
      {told !== null && <Subscriptions of={told.subscriptions} n={told.connection.subscriptions} />}
    </Drawer>
  );
};

const useTold = (page: Page, id: string, gateway: string | null) => {
  const [told, setTold] = useState<ConnectionAnswer | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    if (gateway === null) return setTrouble("The address does not say on which gateway this connection is.");
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const answers = await page.ask({ what: "connection", connection: id }, gateway);
        const [answer] = answers.get(gateway) ?? [];
        if (isOver) return;
        if (answer?.ok) setTold(readConnectionAnswer(answer));
        setTrouble(answer?.ok ? "" : (answer?.error ?? "The gateway did not answer."));
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
  }, [page, id, gateway]);
  return { told, trouble };
};

const ConnectionFacts = ({ it, gateway, now }: { it: ConnectionDetail; gateway: string; now: number }) => (
  <Facts
    facts={[
      ["Rung", <RungStatus key="rung" rung={it.rung} why={it.why} />],
      ["Since", it.rung_since === 0 ? NONE : `${time(it.rung_since)}, ${ago((now - it.rung_since) / 1000)}`],
      ["Lag", `${millis(it.lag_ms)}, ${bytes(it.due_bytes)} due`],
      ["Gets", bytes(it.out_bytes, "/s")],
      ["Gateway", `${gateway}, shard ${it.shard}`],
      ["Connection", <code key="id">{it.connection}</code>],
      ["Connected", `${time(it.since)}, for ${span((now - it.since) / 1000)}`],
      ["User agent", it.user_agent ?? NONE],
      ["Errors", count(it.errors)],
    ]}
  />
);

const Moves = ({ moves, now }: { moves: readonly RungMove[]; now: number }) => (
  <section>
    <h3>
      Rung history <span class="unit">the last 32 changes</span>
    </h3>
    {moves.length === 0 ? (
      <p class="empty">Its rung has not changed.</p>
    ) : (
      <ol class="moves">
        {[...moves].reverse().map(({ at, rung, why }, i) => (
          <li key={`${at} ${i}`}>
            <time>{time(at)}</time>
            <RungStatus rung={rung} why={why} />
            <small>{ago((now - at) / 1000)}</small>
          </li>
        ))}
      </ol>
    )}
  </section>
);

const Subscriptions = ({ of, n }: { of: readonly SubscriptionDetail[]; n: number }) => (
  <section>
    <h3>
      Subscriptions{" "}
      <span class="unit">{of.length < n ? `the first ${TOLD_MAX} of ${count(n)}` : count(n)}</span>
    </h3>
    {of.length === 0 ? (
      <p class="empty">It listens to nothing.</p>
    ) : (
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">Channel</th>
            <th scope="col">Rung</th>
            <th scope="col" class="number">
              Behind
            </th>
            <th scope="col" class="number">
              Granted
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((it) => (
            <tr key={it.channel}>
              <th scope="row">
                <code class="name">{it.channel}</code>
                <small>
                  cursor {count(it.cursor)}
                  {it.asked === "full" ? "" : `, asked for ${it.asked}`}
                </small>
              </th>
              <td>
                <RungStatus rung={it.rung} why={it.why} />
                {it.throttled && <small>throttled</small>}
              </td>
              <td class="number">{plural(it.behind, "event")}</td>
              <td class="number">
                {rate(it.max_rate)}
                <small>tick {millis(it.tick_ms)}</small>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </section>
);

const confirm = (page: Page, gateway: string, it: ConnectionDetail, what: "reconnect" | "disconnect") => {
  const who = it.addr || it.connection;
  const where = page.nameOf(gateway);
  const words: Pick<Confirming, "title" | "text" | "verb" | "done"> =
    what === "reconnect"
      ? {
          title: `Ask ${who} to reconnect?`,
          text: `${where} closes the connection and tells the client to come back, perhaps elsewhere. It resumes from its cursors: nothing is lost, some of it may come as counts.`,
          verb: "Ask to reconnect",
          done: `${who} was asked to reconnect.`,
        }
      : {
          title: `Disconnect ${who}?`,
          text: `${where} closes the connection and tells the client not to come back. Its ${plural(it.subscriptions, "subscription")} end. Whoever sits in front of it sees that it stopped.`,
          verb: "Disconnect",
          done: `${who} was disconnected.`,
        };
  page.confirming.value = { order: { what, connection: it.connection }, gateway, ...words };
};
