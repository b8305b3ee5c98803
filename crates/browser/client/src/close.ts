//! Why a connection ended, and whether coming back can help.

/** The codes of the wire, by the name that `goodbye` gives them. */
export const CLOSE_CODES = {
  /** The gateway shuts down or restarts. */
  drain: 4000,
  /** For 45 s nothing was received and the socket took no byte. */
  silent: 4001,
  /** An operator asked for it. */
  reconnect: 4002,
  /** The gateway has reached its number of connections. */
  full: 4003,
  /** What was sent is no message, or no UTF-8. */
  bad_frame: 4400,
  /** A message over `limits.frame_bytes`. */
  frame_too_large: 4401,
  /** More errors than a client that means well could cause. */
  too_many_errors: 4402,
  /** The right to listen ended. */
  forbidden: 4403,
} as const;

/** 4400 to 4999 mean: not before something was changed. */
export const comesBack = (code: number): boolean => code < 4400 || code > 4999;

/** Why there is no connection. */
export interface Disconnect {
  /** The websocket close code; null where the connection ended without one, or never came about. */
  readonly code: number | null;
  /** Why, for people. */
  readonly reason: string;
}
