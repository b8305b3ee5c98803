//! Why a connection ended, and whether coming back can help.

/** The codes of the wire, by the name that `goodbye` gives them. */
export const CLOSE_CODES = {
  drain: 4000,
  silent: 4001,
  reconnect: 4002,
  full: 4003,
  bad_frame: 4400,
  frame_too_large: 4401,
  too_many_errors: 4402,
  forbidden: 4403,
} as const;

/** 4400 to 4999 mean: not before something was changed. */
export const comesBack = (code: number): boolean => code < 4400 || code > 4999;

/** Why there is no connection. */
export interface Disconnect {
  /** The websocket close code; null where the connection ended without one, or never came about. */
  readonly code: number | null;
  readonly reason: string;
}
