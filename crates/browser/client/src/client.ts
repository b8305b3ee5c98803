//! The client: one socket, its timer, and the page around it. What is decided is decided in the session.

import type { Account } from "./account.js";
import { Emitter } from "./emitter.js";
import type { Hello } from "./frame.js";
import { type HandOver, handOver } from "./hand_over.js";
import { CHANNELS_MAX, HIDDEN_GRACE_MS, NEVER, SUPERVISE_MS, UNSENT_MAX } from "./limits.js";
import type { Rung } from "./names.js";
import type { ClientHandlers, ClientOptions, ClientState, ClientStatus } from "./options.js";
import { Pace } from "./pace.js";
import { watchPage } from "./page.js";
import { RECONNECT } from "./reconnect.js";
import { Session } from "./session.js";
import { endpoint, type Socket, type SocketClass, socketClass } from "./socket.js";
import { type Owner, Subscription } from "./subscription.js";
import type { OverloadUpdate, Update } from "./update.js";
import { mergeWishes, type SubscribeOptions } from "./wish.js";

/** One connection to a gateway, and the subscriptions on it. It comes back by itself. */
export class Client extends Emitter<ClientHandlers> {
  /** The gateway's websocket. */
  readonly url: string;
  readonly #socketClass: SocketClass;
  readonly #options: ClientOptions;
  readonly #session: Session;
  readonly #handOver: HandOver;
  readonly #holds = new Map<string, Set<Subscription>>();
  /** Channels whose holds changed in this tick. */
  readonly #changed = new Set<string>();
  /** What the session told in the present step: handlers run after it, as they may call the client. */
  readonly #told: (() => void)[] = [];
  readonly #paces = new Map<string | null, Pace>();
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = 0;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | null = null;

  /** A client for the gateway at `url`. Throws where the URL is none, or there is no WebSocket. */
  constructor(url = "", options: ClientOptions = {}) {
    super();
    this.url = endpoint(url);
    this.#socketClass = socketClass(options.webSocket);
    this.#options = options;
    this.#handOver = handOver(
      options.handOver ?? ("requestAnimationFrame" in globalThis ? "frame" : "now"),
      this.#deliver,
      (busyMs, folded) => this.#keepPace(null, busyMs, folded),
    );
    this.#session = new Session(
      { ...RECONNECT, ...options.reconnect },
      (channel, update, chars) => this.#handOver.push(channel, update, chars),
      (type, value) =>
        this.#told.push(() => {
          this.emit(type, value);
          // Nobody shall wait for ever for what will not come.
          if (this.state !== "disconnected") return;
          for (const held of this.#holds.values()) for (const one of held) one.refuse(this.detail.reason);
        }),
    );
    if (options.connect ?? true) this.connect();
  }

  /** Where the connection stands. */
  get state(): ClientStatus {
    return this.detail.status;
  }

  /** The same with code, reason and pause. */
  get detail(): ClientState {
    return this.#session.state;
  }

  /** What the gateway said of itself on this connection; null while there is none. */
  get hello(): Hello | null {
    return this.#session.hello;
  }

  /** Frames that broke a law, over all channels and connections. */
  get violations(): number {
    return this.#session.violations;
  }

  /** Connects, or does not wait any longer for the next attempt. Not needed after `new Client`. */
  connect(): void {
    this.#unwatch ??= watchPage({
      visible: (isVisible) => this.#handleVisible(isVisible),
      network: (isOnline) => this.#step((now) => this.#session.handleNetwork(isOnline, now)),
      woke: () => this.#wake(),
    });
    this.#step((now) => this.#session.start(now));
  }

  /** Ends the connection. Subscriptions keep their ledgers, and go on from their cursors after `connect`. */
  disconnect(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    clearTimeout(this.#hiddenTimer);
    this.#step((now) => this.#session.stop(now));
  }

  /**
   * Listens to a channel. Any number of components may hold the same one: there is one subscription on the wire, with
   * at least what each of them asked for, and one ledger. `last` counts for whoever comes first. Throws a RangeError
   * that names what is wrong.
   */
  subscribe(channel: string, options: SubscribeOptions = {}): Subscription {
    const held = this.#holds.get(channel) ?? new Set();
    const size = Math.max(this.#holds.size, this.#session.accounts.size);
    if (!held.size && size >= CHANNELS_MAX) throw new RangeError("too many channels");
    const subscription = new Subscription(this.#owner, channel, options);
    this.#holds.set(channel, held.add(subscription));
    this.#note(channel);
    return subscription;
  }

  /** The highest rung wanted of the whole connection; `full` lifts it. Kept across reconnects. */
  setCeiling(rung: Rung): void {
    this.#step(() => this.#session.requests.ceilings.set("asked", rung));
  }

  /** Gives the gateway a new token without a new connection. */
  setToken(token: string): void {
    this.#step(() => {
      this.#session.requests.token = token;
    });
  }

  /** The channels that are held. */
  get channels(): string[] {
    return [...this.#holds.keys()];
  }

  readonly #owner: Owner = {
    changed: (subscription) => {
      const { channel } = subscription;
      const held = this.#holds.get(channel);
      if (subscription.isOver && held?.delete(subscription) && held.size === 0) this.#holds.delete(channel);
      this.#note(channel);
    },
    overflowed: (channel) => this.#keepPace(channel, 0, true),
  };

  /** What changes within one tick goes to the session as one. */
  #note(channel: string): void {
    if (this.#changed.size === 0) queueMicrotask(() => this.#step((now) => this.#settleHolds(now)));
    this.#changed.add(channel);
  }

  #settleHolds(now: number): void {
    const { requests, accounts } = this.#session;
    for (const channel of this.#changed) {
      const held = [...(this.#holds.get(channel) ?? [])];
      if (held.length === 0) {
        this.#session.leave(channel, now);
        this.#paces.delete(channel);
        continue;
      }
      const wishes = held.map((one) => one.wish);
      this.#session.want(channel, mergeWishes(wishes, requests.limits.max_rate_default));
      const account = accounts.get(channel) as Account;
      for (const one of held) this.#hold(one, account);
    }
    this.#changed.clear();
  }

  /** A component that comes later is told where the channel stands. */
  #hold(subscription: Subscription, account: Account): void {
    if (!subscription.hold(account) || !account.isAttached || account.leaving) return;
    const { rung, state } = subscription;
    const { maxRate, tickMs } = account as { maxRate: number; tickMs: 250 };
    const updates: Update[] = [{ type: "subscribed", continuity: "new", rung, maxRate, tickMs }];
    if (state) updates.push({ type: "state", state });
    subscription.handle(updates, 0);
  }

  readonly #deliver = (channel: string, updates: Update[], weight: number): void => {
    for (const subscription of [...(this.#holds.get(channel) ?? [])]) subscription.handle(updates, weight);
  };

  /** Every input ends here: the session has changed, so do what it wants next. */
  #step(input?: (now: number) => void): void {
    const now = Date.now();
    input?.(now);
    const { is, until } = this.#session.link;
    if (is === "down" || is === "ended") this.#dropSocket();
    if (is === "down" && until <= now) this.#open(now);
    const socket = this.#socket;
    while (socket && socket.bufferedAmount < UNSENT_MAX) {
      const text = this.#session.next(now);
      if (text === null) break;
      socket.send(text);
    }
    for (let tell = this.#told.shift(); tell; tell = this.#told.shift()) tell();
    this.#handOver.settle();
    this.#setTimer(Date.now());
  }

  /** An attempt: the token, then the socket. Whatever comes of an attempt that is over is ignored. */
  #open(now: number): void {
    this.#session.handleOpening(now);
    const attempt = this.#session.link;
    const isOver = (): boolean => this.#session.link !== attempt;
    Promise.resolve()
      .then(this.#options.token)
      .then((token) => isOver() || this.#openSocket(token ?? null))
      .catch((error: unknown) => {
        if (isOver()) return;
        this.#step((at) => this.#session.handleDisconnect(at, `the attempt failed: ${error}`));
      });
  }

  #openSocket(token: string | null): void {
    this.#session.requests.token = token;
    const socket = new this.#socketClass(this.url, ["tally.v1"]) as Socket;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#step((now) => this.#session.handleMessage(data, now));
    // What an error was is only told by the close that follows.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const known = code === 1005 || code === 1006 ? null : code;
      const cause = reason || `connection lost (${code})`;
      this.#step((now) => this.#session.handleDisconnect(now, cause, known));
    };
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  /** One timer, never longer than the supervision sleeps: the wall clock says whether the machine slept. */
  #setTimer(now: number): void {
    clearTimeout(this.#timer);
    const wait = this.#session.deadline() - now;
    if (wait === NEVER) return;
    const sleep = Math.min(Math.max(wait, 0), SUPERVISE_MS);
    this.#timerDue = now + sleep;
    this.#timer = setTimeout(() => this.#wake(), sleep);
  }

  #wake(): void {
    const late = Date.now() - this.#timerDue > SUPERVISE_MS;
    for (const channel of [...this.#paces.keys()]) this.#keepPace(channel, 0, false);
    this.#step((now) => this.#session.handleTimeout(now, late));
  }

  #handleVisible(isVisible: boolean): void {
    if (this.#options.hidden === "keep") return;
    clearTimeout(this.#hiddenTimer);
    const set = (rung: Rung, tick: 5000 | null): void => {
      const { requests } = this.#session;
      requests.ceilings.set("hidden", rung);
      requests.tick = tick;
      requests.touchAll();
      this.#step();
    };
    if (isVisible) set("full", null);
    else this.#hiddenTimer = setTimeout(() => set("counts", 5000), HIDDEN_GRACE_MS);
  }

  /** Of one channel, or (null) of the page: too slow asks for a lower rung, and calm for a higher one. */
  #keepPace(channel: string | null, busyMs: number, folded: boolean): void {
    const pace = this.#paces.get(channel) ?? new Pace();
    this.#paces.set(channel, pace);
    if (!pace.handle(Date.now(), busyMs, folded)) return;
    const { rung } = pace;
    const { accounts, requests } = this.#session;
    const update: OverloadUpdate = { type: "overload", rung };
    if (channel === null) {
      requests.ceilings.set("overload", rung);
      this.emit("overload", update);
    } else {
      const account = accounts.get(channel);
      if (account) {
        account.lowered = rung;
        accounts.due.add(channel);
      }
      this.#deliver(channel, [update], 0);
    }
    // Not in this call: it may come from within a hand-over.
    queueMicrotask(() => this.#step());
  }
}
