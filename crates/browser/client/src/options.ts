//! What a client is given, and what it tells of itself.

import type { Disconnect } from "./close.js";
import type { ErrorFrame, Goodbye, Upstream } from "./frame.js";
import type { HandOverMode } from "./hand_over.js";
import type { Violation } from "./ledger.js";
import type { Reconnect } from "./reconnect.js";
import type { SocketClass } from "./socket.js";
import type { OverloadUpdate } from "./update.js";

/** How a client connects, and how it treats its page. */
export interface ClientOptions {
  /** Where there is no global WebSocket (Node 20): that of the package `ws`. */
  readonly webSocket?: SocketClass;
  /** Asked before each attempt; its result is the connection's token. Rejected, or too late: the attempt has failed. */
  readonly token?: () => string | null | Promise<string | null>;
  /** How it comes back; what is not given has its default. */
  readonly reconnect?: Partial<Reconnect>;
  /** Default: `frame` in a page, `now` elsewhere. */
  readonly handOver?: HandOverMode;
  /** A hidden page asks for `counts` with a tick of 5 s, and comes back when shown; `keep`: it does not. */
  readonly hidden?: "counts" | "keep";
  /** Whether to connect at once. Default true. */
  readonly connect?: boolean;
}

/** `connecting`: there is no connection, an attempt is under way or will be. `disconnected`: for good. */
export type ClientStatus = "connecting" | "connected" | "disconnected";

export interface ClientState extends Disconnect {
  /** Where the connection stands. */
  readonly status: ClientStatus;
  /** The pause before the next attempt, while connecting. */
  readonly retryInMs: number | null;
}

/** The handlers of a client, by type. */
export interface ClientHandlers {
  /** The connection stands elsewhere than before. */
  state: ClientState;
  /** A frame broke a law; it was not booked. */
  violation: Violation;
  /** The gateway's link to the broker is up or down. */
  upstream: Upstream;
  /** The gateway refused something; `channel` null: not of one channel. */
  error: ErrorFrame;
  /** The gateway is about to close the connection. */
  goodbye: Goodbye;
  /** The page is too slow, and the SDK asked for this rung as the ceiling; `full`: not any more. */
  overload: OverloadUpdate;
}
