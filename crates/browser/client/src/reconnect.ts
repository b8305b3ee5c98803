//! When to come back after a lost connection: full jitter, inside the gateway's window where it gave one.

import { NEVER, RETRY_WINDOW_MAX_MS } from "./limits.js";

/** How a client comes back. The nth pause in a row is random between 0 and `min(capMs, baseMs * 2^n)`, n from 0. */
export interface Reconnect {
  /** Default 250. */
  readonly baseMs: number;
  /** Default 20,000. */
  readonly capMs: number;
  /** How long a connection must last before the attempts count from 0 again. Default 10,000. */
  readonly stableAfterMs: number;
  /** Attempts in a row without a stable connection in between; after them the client gives up. Default: no end. */
  readonly attemptsMax: number;
}

export const RECONNECT: Reconnect = {
  baseMs: 250,
  capMs: 20_000,
  stableAfterMs: 10_000,
  attemptsMax: NEVER,
};

/** The pause before the attempt after `attempts` others in a row; null where they are used up. */
export const pause = (
  policy: Reconnect,
  attempts: number,
  window: readonly number[] | null,
  random = Math.random,
): number | null => {
  if (attempts >= policy.attemptsMax) return null;
  if (!window) return random() * Math.min(policy.capMs, policy.baseMs * 2 ** attempts);
  const [from = 0, to = from] = window.map((ms) => Math.min(ms, RETRY_WINDOW_MAX_MS));
  return from + random() * Math.max(to - from, 0);
};
