//! The log: only the rows that are seen are drawn. It follows the tail until the reader scrolls up.

import { useState } from "preact/hooks";
import { ROW_PX, ROWS_AROUND } from "../limits";
import { beat } from "../model/beat";
import type { Channel } from "../model/channel";
import type { EventRow, Row } from "../model/log";
import { clock, number, toneOf } from "../model/words";
import { emptyWords } from "./channel";
import { useFollowing } from "./follow";
import { Down } from "./icons";

/** Characters of a kind's column. Longer kinds are cut there. */
const KIND_MAX = 14;
const UP_KEYS = new Set(["ArrowUp", "PageUp", "Home"]);

export const LogView = ({ channel }: { channel: Channel }) => {
  beat.value;
  const { log } = channel;
  const { box, view, isFollowing, fresh, leave, follow, scrolled } = useFollowing(log);
  const [picked, setPicked] = useState<Row | null>(null);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - ROWS_AROUND);
  const count = Math.ceil(view.height / ROW_PX) + 2 * ROWS_AROUND;
  const rows = log.rows.slice(first, first + count);
  return (
    <div class="log-frame">
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard scrolls; a click only shows what is cut. */}
      <div
        ref={box}
        class="log"
        role="log"
        aria-live="off"
        aria-label="Events"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
        tabIndex={0}
        data-following={isFollowing}
        data-rows={log.rows.length}
        onScroll={scrolled}
        onWheel={(event) => event.deltaY < 0 && leave()}
        onTouchMove={leave}
        onPointerDown={(event) => event.offsetX > event.currentTarget.clientWidth && leave()}
        onKeyDown={(event) => {
          if (UP_KEYS.has(event.key)) leave();
          else if (event.key === "End") follow();
          else if (event.key === "Escape") setPicked(null);
        }}
        onClick={(event) => {
          const row = rowAt(event, channel);
          if (row) setPicked(row === picked ? null : row);
        }}
      >
        {log.rows.length === 0 ? <p class="empty">{emptyWords(channel)}</p> : null}
        <div
          class="rows"
          style={{ height: `${log.rows.length * ROW_PX}px`, "--kind": `${kindWidth(channel)}ch` }}
        >
          <div class="window" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
            {rows.map((row, i) => (
              // By place, so that following moves text and no nodes.
              <RowView key={i} row={row} number={log.dropped + first + i} isPicked={row === picked} />
            ))}
          </div>
        </div>
      </div>
      {isFollowing ? null : (
        <button type="button" class="follow" onClick={follow}>
          <Down /> {fresh > 0 ? `${number(fresh)} new` : "Back to the newest"}
        </button>
      )}
      {picked ? <Whole row={picked} close={() => setPicked(null)} /> : null}
    </div>
  );
};

/** The row that was clicked; none where the reader chose text to copy. */
const rowAt = ({ target }: MouseEvent, { log }: Channel): Row | undefined => {
  const at = (target as HTMLElement).closest<HTMLElement>("[data-row]")?.dataset.row;
  return at === undefined || getSelection()?.isCollapsed === false
    ? undefined
    : log.rows[Number(at) - log.dropped];
};

/** Room for the kinds of this channel, so that what follows stands in one column. */
const kindWidth = ({ subscription: { totals } }: Channel): number => {
  let widest = 4;
  for (const kind of totals.keys()) if (!kind.startsWith("run_")) widest = Math.max(widest, kind.length);
  return Math.min(widest, KIND_MAX);
};

const RowView = ({ row, number: at, isPicked }: { row: Row; number: number; isPicked: boolean }) => {
  if (row.is === "span") {
    return (
      <div class={`row span ${row.form} ${isPicked ? "picked" : ""}`} data-row={at} title={row.text}>
        <span class="seq">≡</span>
        <span class="text">{row.text}</span>
      </div>
    );
  }
  if (row.is === "note") {
    return (
      <div class={`row note ${row.tone} ${isPicked ? "picked" : ""}`} data-row={at} title={row.text}>
        <span class="seq">{row.tone === "bad" || row.tone === "warn" ? "!" : "·"}</span>
        <span class="time">{clock(row.at)}</span>
        <span class="text">{row.text}</span>
      </div>
    );
  }
  const classes = `row event ${row.isTail ? "tail" : ""} ${row.isState ? "is-state" : ""} ${isPicked ? "picked" : ""}`;
  return (
    <div class={classes} data-row={at}>
      <span class="seq">{row.seq === null ? "–" : number(row.seq)}</span>
      <span class="time">{clock(row.at)}</span>
      <span class={`kind ${toneOf(row.kind)}`}>{row.kind}</span>
      <span class="text">{row.text}</span>
    </div>
  );
};

/** All that was kept of one row. */
const Whole = ({ row, close }: { row: Row; close: () => void }) => (
  <aside class="whole" aria-label="The chosen row">
    <p>
      {row.is === "event" ? <OfEvent row={row} /> : null}
      {row.is === "span" ? <b>{`#${number(row.from)} to #${number(row.to)}`}</b> : null}
      {row.is === "note" ? <b>{clock(row.at)}</b> : null}
      <button type="button" onClick={close}>
        Close
      </button>
    </p>
    <pre>{row.text || "no data"}</pre>
  </aside>
);

const OfEvent = ({ row }: { row: EventRow }) => (
  <>
    <b>{row.seq === null ? "unnumbered" : `#${number(row.seq)}`}</b>
    <span>{row.kind}</span>
    <span>{clock(row.at)}</span>
    {row.isState ? <span>state</span> : null}
    {row.isTail ? <span>one of the counted, shown as a courtesy</span> : null}
  </>
);
