//! Every limit of the viewer, with its consequence.

/** Rows of the log. More: the oldest go, and a line at the top says how many. */
export const ROWS_MAX = 5_000;
/** Rows above that limit before the oldest go, so that they go together. */
export const ROWS_SLACK = 500;
/** Characters of an event that are kept to be shown. The rest is cut, and the row says so. */
export const TEXT_MAX = 1_000;
/** How long one line may gather counted events of the same reason, in ms. Then a new line begins. */
export const SPAN_MS = 5_000;
/** Kinds named in a line of counted events. The others are one number. */
export const SPAN_KINDS_MAX = 5;
/** Kinds shown as tallies before the reader asks for all. */
export const KINDS_SHOWN = 8;
/** Jobs that are known. More: those that ended longest ago are forgotten. */
export const JOBS_MAX = 200;
/** Jobs listed, and so listened to at counts: the running ones, then those that ended last. */
export const JOBS_LISTED_MAX = 24;
/** Ended jobs listed. */
export const JOBS_ENDED_MAX = 8;
/** Events of the index of jobs that are asked for at the start. */
export const INDEX_LAST = 200;
/** Events of a channel that are asked for when it is opened. */
export const CHANNEL_LAST = 500;
/** Samples of a rate that are drawn, one per second. */
export const SAMPLES_MAX = 60;
/** Notices shown at a time. More: the oldest goes. */
export const NOTICES_MAX = 3;
/** The shortest time between two drawings, in ms. What came in between is drawn together. */
export const DRAW_MS = 80;
/** Height of a row of the log, in pixels; the style sheet has the same. */
export const ROW_PX = 22;
/** Rows drawn above and below those that are seen. */
export const ROWS_AROUND = 6;
