//! Every limit of the dashboard, with its consequence.

/** Gateways held at once. More: the longest silent goes first. The gateways keep as many. */
export const GATEWAYS_MAX = 64;
/** Nothing from a gateway for so long, in ms: it is shown as silent. */
export const SILENT_AFTER_MS = 5_000;
/** Nothing from a gateway for so long, in ms: it is shown as gone. */
export const GONE_AFTER_MS = 60_000;
/** How long a gateway that is gone stays in the table, in ms. Its part of the charts stays as long as they reach. */
export const LISTED_GONE_MS = 3_600_000;
/** How long a gateway that is gone is held at all, in ms: as far as the longest chart reaches. */
export const HELD_GONE_MS = 21_600_000;
/** Points that a series keeps, by step in seconds: 5 minutes, 1 hour, 6 hours. Older points are overwritten. */
export const RINGS = [
  { step: 1, slots: 300 },
  { step: 10, slots: 360 },
  { step: 60, slots: 360 },
] as const;
/** Changes kept from samples. More: the oldest goes. */
export const CHANGES_MAX = 200;
/** How far back changes are told, in ms. */
export const CHANGES_MS = 3_600_000;
/** A share of connections that moves by so much is a change. */
export const SHARE_MOVE = 0.1;
/** Rows of a table. More are counted in its last line. */
export const ROWS_MAX = 100;
/** A detail older than this, in ms, is not shown any more: gateways send one every 2 s. */
export const DETAIL_STALE_MS = 10_000;
/** How long answers are waited for, in ms. After that the page says who did not answer. */
export const ANSWER_MAX_MS = 10_000;
/** How often a question is posted again while not everybody has answered, in ms: what a broker that restarts loses. */
export const ASK_AGAIN_MS = 3_000;
/** After how long a history that could not be had is asked for again, in ms. */
export const HISTORY_AGAIN_MS = 10_000;
/** How long after the page was deaf the last hour is asked for once more, in ms: gateways tell of whole steps only. */
export const HISTORY_LATE_MS = 15_000;
/** Parts of one answer. More: the answer counts as wrong. */
export const PARTS_MAX = 256;
/** Asks under way at once. More: the oldest is given up. */
export const ASKS_MAX = 8;
/** How often a list's search asks the gateways, in ms. */
export const SEARCH_EVERY_MS = 2_000;
/** Clocks that differ by no more than this, in ms, count as the same. */
export const CLOCK_MAX_MS = 2_000;
