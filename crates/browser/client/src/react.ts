//! Hooks for React 18 and later. React is a peer: whoever does not import this file does not need it.

import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { LedgerView } from "./ledger.js";
import type { Rung, Why } from "./names.js";
import type { ClientState } from "./options.js";
import type { Subscription } from "./subscription.js";
import type { Update } from "./update.js";
import type { SubscribeOptions } from "./wish.js";

/** A channel as it was at the last render. */
export interface ChannelView {
  /** Null before the effect of the first render. */
  readonly subscription: Subscription | null;
  /** Whether frames are due. */
  readonly isAttached: boolean;
  /** The channel's totals at the cursor, a copy. */
  readonly totals: ReadonlyMap<string, number>;
  /** The seq up to which everything is accounted for. */
  readonly cursor: number;
  /** Events per second. */
  readonly rate: number;
  /** What the subscription gets. */
  readonly rung: Rung;
  /** The reason of the last change of rung. */
  readonly why: Why | null;
  /** The newest state event. */
  readonly state: LedgerView["state"];
  /** Whether the gateway hears the broker. */
  readonly upstream: Subscription["upstream"];
  /** The ledgers that ended. */
  readonly closed: readonly LedgerView[];
  /** Frames that broke a law. */
  readonly violations: number;
}

/** How to listen, and who gets the updates. */
export interface ChannelOptions extends SubscribeOptions {
  /** Gets every update, in order. The newest function counts; it need not be the same from render to render. */
  readonly onUpdate?: (update: Update) => void;
}

const NONE: ReadonlyMap<string, number> = new Map();
const EMPTY: ChannelView = {
  subscription: null,
  isAttached: false,
  totals: NONE,
  cursor: 0,
  rate: 0,
  rung: "full",
  why: null,
  state: null,
  upstream: "up",
  closed: [],
  violations: 0,
};

/** Listens to a channel while the component is mounted, and renders it after each batch of updates. */
export const useChannel = (
  client: Client,
  channel: string | null,
  { onUpdate, rung, maxRate, tickMs, tail, last }: ChannelOptions = {},
): ChannelView => {
  const view = useRef<ChannelView>(EMPTY);
  const handler = useRef(onUpdate);
  useEffect(() => {
    handler.current = onUpdate;
  });
  const subscribe = useCallback(
    (changed: () => void) => {
      if (channel === null) return () => {};
      const options = given({ rung, maxRate, tickMs, tail, last });
      const subscription = client.subscribe(channel, options);
      const show = (why: Why | null): void => {
        view.current = look(subscription, why);
        changed();
      };
      show(null);
      subscription.on("update", (update) => {
        handler.current?.(update);
        show(update.type === "rung" ? update.why : view.current.why);
      });
      return () => {
        subscription.unsubscribe();
        view.current = EMPTY;
      };
    },
    [client, channel, rung, maxRate, tickMs, tail, last],
  );
  return useSyncExternalStore(
    subscribe,
    () => view.current,
    () => EMPTY,
  );
};

/** Where the connection stands. */
export const useClientState = (client: Client): ClientState =>
  useSyncExternalStore(
    useCallback((changed: () => void) => client.on("state", changed), [client]),
    () => client.detail,
    () => client.detail,
  );

const given = (options: Record<string, unknown>): SubscribeOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const look = (subscription: Subscription, why: Why | null): ChannelView => {
  const { isAttached, cursor, rate, rung, state, upstream, closed, violations } = subscription;
  const totals = new Map(subscription.totals);
  return { subscription, why, isAttached, totals, cursor, rate, rung, state, upstream, closed, violations };
};
