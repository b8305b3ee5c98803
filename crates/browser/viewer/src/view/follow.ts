//! Where the reader of a log is: at its tail, which moves on, or somewhere above, which stays where it is.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ROW_PX } from "../limits";
import type { Log } from "../model/log";

/** Within so many pixels of the end the reader is at the end. */
const END_PX = ROW_PX * 1.5;

export const useFollowing = (log: Log) => {
  const box = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(true);
  const [view, setView] = useState({ top: 0, height: 600 });
  /** The number of the next row at the time when the reader left the tail. */
  const leftAt = useRef(0);
  const topBefore = useRef(0);
  const droppedBefore = useRef(log.dropped);

  /** The reader turns to what is above. */
  const leave = (): void => {
    // With nothing above there is nowhere to go.
    if (!isFollowing || !box.current?.scrollTop) return;
    leftAt.current = log.end;
    setFollowing(false);
  };
  const follow = (): void => setFollowing(true);
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
  return { box, view, isFollowing, fresh: log.end - leftAt.current, leave, follow, scrolled };
};
