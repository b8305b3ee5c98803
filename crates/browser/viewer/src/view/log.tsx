//! The log: only the rows that are seen are drawn. It follows the tail until the reader scrolls up.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ROW_PX, ROWS_AROUND } from "../limits";
import { beat } from "../model/beat";
import type { Channel } from "../model/channel";
import type { EventRow, Row } from "../model/log";
import { clock, number, toneOf } from "../model/words";
import { emptyWords } from "./channel";
import { Down } from "./icons";

/** Within so many pixels of the end the reader is at the end. */
const END_PX = ROW_PX * 1.5;
/** Characters of a kind's column. Longer kinds are cut there. */
const KIND_MAX = 14;
const UP_KEYS = new Set(["ArrowUp", "PageUp", "Home"]);

export const LogView = ({ channel }: { channel: Channel }) => {
  beat.value;
  const { log } = channel;
  const box = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(true);
  const [view, setView] = useState({ top: 0, height: 600 });
  /** The number of the row after the last one that the reader who scrolled up has seen. */
  const leftAt = useRef(0);
  const topBefore = useRef(0);
  const droppedBefore = useRef(log.dropped);
  const [picked, setPicked] = useState<Row | null>(null);

  const leave = (): void => {
    // With nothing above there is nowhere to go.
    if (!isFollowing || !box.current?.scrollTop) return;
    leftAt.current = log.end;
    setFollowing(false);
  };
  const follow = (): void => {
    setFollowing(true);
    setPicked(null);
  };
  const look = (): void => {
    const { current: at } = box;
    if (!at) return;
    const { scrollTop: top, clientHeight: height } = at;
    setView((before) => (before.top === top && before.height === height ? before : { top, height }));
  };
  /** Only a reader who comes down to the end follows again: one who has just turned the wheel is still there. */
  const scrolled = (): void => {
    const { current: at } = box;
    if (!at) return;
    const isDown = at.scrollTop > topBefore.current;
    topBefore.current = at.scrollTop;
    if (isDown && !isFollowing && at.scrollHeight - at.scrollTop - at.clientHeight < END_PX) follow();
    look();
  };

  useLayoutEffect(() => {
    const { current: at } = box;
    if (!at) return;
    const gone = log.dropped - droppedBefore.current;
    droppedBefore.current = log.dropped;
    if (isFollowing) at.scrollTop = at.scrollHeight;
    // The rows above went: what the reader looks at stays where it is.
    else if (gone > 0) at.scrollTop = Math.max(0, at.scrollTop - gone * ROW_PX);
    look();
  });
  useEffect(() => {
    const { current: at } = box;
    if (!at) return;
    const observer = new ResizeObserver(look);
    observer.observe(at);
    return () => observer.disconnect();
  }, []);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - ROWS_AROUND);
  const count = Math.ceil(view.height / ROW_PX) + 2 * ROWS_AROUND;
  const rows = log.rows.slice(first, first + count);
  const fresh = log.end - leftAt.current;
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
          const at = (event.target as HTMLElement).closest<HTMLElement>("[data-row]")?.dataset.row;
          const row = at === undefined ? undefined : log.rows[Number(at) - log.dropped];
          if (!row || getSelection()?.isCollapsed === false) return;
          setPicked(row === picked ? null : row);
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
