//! The page's icons: 16 by 16, drawn in the colour of the text, silent to screen readers (a word stands beside each).

const PATHS = {
  good: "M3 8.5 6.5 12 13 4.5",
  warn: "M8 2.2 14.6 13.6H1.4ZM8 6.4v3.4M8 11.7v.1",
  bad: "M4 4l8 8M12 4l-8 8",
  idle: "M3.5 8h9",
  note: "M8 8m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0M8 7.4v3.2M8 5.2v.1",
  hot: "M2 11.5 6 7.5 8.7 10.2 13.5 5M10.2 4.7h3.4v3.4",
  past: "M8 8m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0M8 4.8V8l2.2 1.6",
  fewer: "M3 4.5h10M5 8h6M7 11.5h2",
  running: "M8 8m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
  silent: "M8 8m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0M8 4.8V8l2.2 1.6",
  gone: "M8 8m-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0M4.2 11.8l7.6-7.6",
  draining: "M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10",
  search: "M7 7m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0M10.2 10.2 14 14",
  close: "M4 4l8 8M12 4l-8 8",
  sun: "M8 8m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0M8 1.4v1.4M8 13.2v1.4M1.4 8h1.4M13.2 8h1.4M3.3 3.3l1 1M11.7 11.7l1 1M3.3 12.7l1-1M11.7 4.3l1-1",
  moon: "M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7Z",
  system: "M2.5 3.5h11v7.5h-11ZM5.5 13.5h5",
  reconnect: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  next: "M6 3.5 10.5 8 6 12.5",
  up: "M8 12.5v-9M4.5 7 8 3.5 11.5 7",
  down: "M8 3.5v9M4.5 9 8 12.5 11.5 9",
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set<IconName>(["running"]);

export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} fill={FILLED.has(name) ? "currentColor" : "none"} />
  </svg>
);

/** An icon and its word, in the colour of a grade. */
export const Status = ({ grade, icon, word }: { grade: string; icon: IconName; word: string }) => (
  <span class={`status ${grade}`}>
    <Icon name={icon} />
    {word}
  </span>
);
