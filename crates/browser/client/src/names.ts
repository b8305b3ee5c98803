//! Names on the wire: channels, kinds, epochs, rungs and whys.

const CHANNEL = /^(?!.{201})\$?[\w.:@~=+,-]+$/;
const KIND = /^[\w.:-]{1,64}$/;
const EPOCH = /^[!#-[\]-~]{1,32}$/;

/** How much detail a subscription gets, from the most to the least. */
export type Rung = "full" | "counts" | "summary";
/** The reason for a reduced form. */
export type Why = "asked" | "throttled" | "backpressure" | "unheard" | "upstream" | "replay";
/** How often a counts frame may come, in ms. */
export type TickMs = 250 | 1000 | 5000;

/** From the least to the most, so that the lower of two has the smaller place. */
export const RUNGS: readonly Rung[] = ["summary", "counts", "full"];
export const WHYS: readonly Why[] = ["asked", "throttled", "backpressure", "unheard", "upstream", "replay"];
export const TICKS: readonly TickMs[] = [250, 1000, 5000];

/** 1 to 200 bytes of `A-Z a-z 0-9 . _ : @ ~ = + , -`; a leading `$` marks Tally's own. */
export const isChannel = (text: unknown): text is string => typeof text === "string" && CHANNEL.test(text);
/** 1 to 64 bytes of `A-Z a-z 0-9 . _ : -`. */
export const isKind = (text: unknown): text is string => typeof text === "string" && KIND.test(text);
/** 1 to 32 printable ASCII characters without space, quote and backslash. */
export const isEpoch = (text: unknown): text is string => typeof text === "string" && EPOCH.test(text);

/** The one with less detail. */
export const lower = (a: Rung, b: Rung): Rung => (RUNGS.indexOf(a) < RUNGS.indexOf(b) ? a : b);
/** The one with more detail. */
export const higher = (a: Rung, b: Rung): Rung => (lower(a, b) === a ? b : a);
