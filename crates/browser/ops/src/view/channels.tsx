//! What is hot: the channels that lead by rate, listeners, bytes or share counted; search; and what nobody hears.

import { useEffect, useState } from "preact/hooks";
import { SEARCH_EVERY_MS } from "../bounds.js";
import { bytes, count, percent, plural, rate } from "../format.js";
import { type FleetChannel, mergeChannels, topChannels } from "../model/channels.js";
import { type Page, wordsOf } from "../page.js";
import { ORDERS } from "../route.js";
import { readChannelAnswer } from "../shape/answer.js";
import { NAMED_MAX } from "../shape/detail.js";
import { ChannelDrawer } from "./channel.js";
import { RungBar } from "./gateways.js";
import { Loading } from "./loading.js";
import { Search } from "./search.js";
import { type Column, Table } from "./table.js";

const ORDER_WORDS = {
  rate: "Rate",
  listeners: "Listeners",
  bytes: "Bytes out",
  counted: "Share counted",
} as const;
/** Unheard channels shown. */
const UNHEARD_MAX = 20;

export const Channels = ({ page }: { page: Page }) => {
  const { search, order, channel } = page.route.value;
  const found = useFound(page, search);
  if (page.listed.value.length === 0) return <Loading page={page} />;
  const rows = topChannels(search === "" ? page.channels.value : found.channels, order);
  const details = page.details.value;
  const told = details.reduce((sum, it) => sum + it.channels_n, 0);
  return (
    <>
      <section class="panel" aria-labelledby="channels-title">
        <div class="panel-head">
          <h2 id="channels-title">
            {search === "" ? "What is hot" : `Channels that begin with “${search}”`}
          </h2>
          <Search label="Search channels by prefix" placeholder="Prefix, such as job:" page={page} />
          <fieldset class="choice" aria-label="Top by">
            <span class="choice-name">Top by</span>
            {ORDERS.map((name) => (
              <button
                type="button"
                key={name}
                aria-pressed={order === name}
                onClick={() => page.go({ order: name })}
              >
                {ORDER_WORDS[name]}
              </button>
            ))}
          </fieldset>
        </div>
        <Table
          key={`${order} ${search}`}
          caption="Channels"
          rows={rows}
          rowKey={(row) => row.channel}
          columns={COLUMNS}
          selected={channel}
          onOpen={(row) => page.go({ channel: row.channel })}
          empty={<Nothing search={search} state={found.state} isTold={details.length > 0} />}
        />
        <p class="bounds">
          {search === ""
            ? `Each gateway names at most ${NAMED_MAX} channels, those that lead by rate, listeners, bytes or share counted: ${plural(rows.length, "channel")} of ${count(told)} held by ${plural(details.length, "gateway")}. Every 2 s.`
            : `At most ${NAMED_MAX} channels of each gateway, asked for every 2 s.${found.state === "" ? "" : ` ${found.state}`}`}{" "}
          Rate and bytes in are the most that any gateway saw; listeners and bytes out are summed over the
          gateways that name it. Tally's own channels are left out; search for $ to see them.
        </p>
      </section>
      <UnheardList page={page} />
      {channel !== null && <ChannelDrawer key={channel} page={page} name={channel} />}
    </>
  );
};

const COLUMNS: Column<FleetChannel>[] = [
  {
    id: "channel",
    head: "Channel",
    by: (row) => row.channel,
    cell: (row) => <code class="name">{row.channel}</code>,
  },
  { id: "rate", head: "Rate", isNumber: true, by: (row) => row.rate, cell: (row) => rate(row.rate) },
  {
    id: "listeners",
    head: "Listeners",
    isNumber: true,
    by: (row) => row.listeners,
    cell: (row) => count(row.listeners),
  },
  {
    id: "rungs",
    head: "At full",
    title: "Share of listeners at full; the bar: full, counts, summary",
    isNumber: true,
    by: (row) => (row.listeners === 0 ? null : row.full / row.listeners),
    cell: (row) => <RungBar of={row} />,
  },
  {
    id: "counted",
    head: "Counted",
    title: "Of the events delivered, the share that was only counted",
    isNumber: true,
    by: (row) => row.counted,
    cell: (row) => percent(row.counted),
  },
  { id: "in", head: "In", isNumber: true, by: (row) => row.inBytes, cell: (row) => bytes(row.inBytes, "/s") },
  {
    id: "out",
    head: "Out",
    isNumber: true,
    by: (row) => row.outBytes,
    cell: (row) => bytes(row.outBytes, "/s"),
  },
  { id: "seq", head: "Events so far", isNumber: true, by: (row) => row.seq, cell: (row) => count(row.seq) },
  {
    id: "gateways",
    head: "Gateways",
    isNumber: true,
    by: (row) => row.gateways.length,
    cell: (row) => count(row.gateways.length),
  },
];

interface Found {
  readonly channels: readonly FleetChannel[];
  /** What is to be said of the search; empty: it went well. */
  readonly state: string;
}

const NOT_YET: Found = { channels: [], state: "Searching…" };

/** Asks all gateways for channels with this prefix, again and again while it is looked at. */
const useFound = (page: Page, search: string): Found => {
  const [found, setFound] = useState<Found>(NOT_YET);
  useEffect(() => {
    setFound(NOT_YET);
    if (search === "") return;
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const answers = await page.ask({ what: "channel", prefix: search, limit: NAMED_MAX }, null);
        const told = [...answers].flatMap(([id, [answer]]) =>
          answer?.ok ? [[id, readChannelAnswer(answer).channels] as const] : [],
        );
        const [wrong] = [...answers.values()].flat().filter((answer) => !answer.ok);
        if (!isOver) setFound({ channels: mergeChannels(told), state: wrong?.error ?? "" });
      } catch (error) {
        if (!isOver) setFound((before) => ({ ...before, state: wordsOf(error) }));
      }
      if (!isOver) timer = setTimeout(ask, SEARCH_EVERY_MS);
    };
    timer = setTimeout(ask, 250);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [page, search]);
  return found;
};

const Nothing = ({ search, state, isTold }: { search: string; state: string; isTold: boolean }) => {
  if (search !== "") return <>{state || `No gateway holds a channel that begins with “${search}”.`}</>;
  return (
    <>
      {isTold
        ? "No channel has a listener or an event now."
        : "Waiting for what the gateways name; they do every 2 s."}
    </>
  );
};

const UnheardList = ({ page }: { page: Page }) => {
  const unheard = page.unheard.value;
  const n = page.details.value.reduce((sum, it) => sum + it.unheard_n, 0);
  return (
    <section class="panel" aria-labelledby="unheard-title">
      <h2 id="unheard-title">Unheard, and what they cost</h2>
      <Table
        caption="Channels to which something is published although nobody listens"
        rows={unheard.slice(0, UNHEARD_MAX)}
        rowKey={(row) => row.channel}
        columns={[
          {
            id: "channel",
            head: "Channel",
            by: (row) => row.channel,
            cell: (row) => <code class="name">{row.channel}</code>,
          },
          {
            id: "events",
            head: "Events",
            isNumber: true,
            by: (row) => row.events,
            cell: (row) => rate(row.events),
          },
          {
            id: "bytes",
            head: "Payload",
            isNumber: true,
            by: (row) => row.bytes,
            cell: (row) => bytes(row.bytes, "/s"),
          },
        ]}
        empty={
          page.details.value.length === 0
            ? "Waiting for what the gateways name; they do every 2 s."
            : "Nothing is published over HTTP to a channel that nobody listens to."
        }
      />
      <p class="bounds">
        The most bytes first, at most {UNHEARD_MAX} of {count(n)}
        {n === 0 ? "" : " that the gateways know of"}. Only what came over the gateways' own HTTP: producers
        with an SDK do not send what nobody hears.
      </p>
    </section>
  );
};
