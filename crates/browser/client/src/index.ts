//! What the package offers.

export { Client } from "./client.js";
export { CLOSE_CODES, comesBack, type Disconnect } from "./close.js";
export type {
  ErrorFrame,
  Goodbye,
  Hello,
  Limits,
  NumberedEvent,
  Position,
  State,
  TallyEvent,
  Upstream,
} from "./frame.js";
export type { HandOverMode } from "./hand_over.js";
export { type Law, type LedgerView, Violation } from "./ledger.js";
export { isChannel, isKind, lower, type Rung, type TickMs, type Why } from "./names.js";
export type { ClientHandlers, ClientOptions, ClientState, ClientStatus } from "./options.js";
export type { Reconnect } from "./reconnect.js";
export { sharedClient } from "./shared.js";
export type { SocketClass } from "./socket.js";
export { Subscription, SubscriptionError, type SubscriptionHandlers } from "./subscription.js";
export type { Totals } from "./totals.js";
export type * from "./update.js";
export type { SubscribeOptions } from "./wish.js";
