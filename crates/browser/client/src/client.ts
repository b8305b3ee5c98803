//! The client: one socket, its timer, and the page around it. What is decided is decided in the session.

import type { Account } from "./account.js";
import type { Disconnect } from "./close.js";
import { Emitter } from "./emitter.js";
import type { Hello } from "./frame.js";
import { HandOver } from "./hand_over.js";
import { HIDDEN_GRACE_MS, SUPERVISE_MS, UNSENT_MAX } from "./limits.js";
import { lower, type Rung } from "./names.js";
import type { ClientHandlers, ClientOptions, ClientState, ClientStatus } from "./options.js";
import { Pace } from "./pace.js";
import { watchPage } from "./page.js";
import { RECONNECT } from "./reconnect.js";
import { type LinkUpdate, Session } from "./session.js";
import { endpoint, type Socket, type SocketClass, socketClass } from "./socket.js";
import { type Owner, Subscription } from "./subscription.js";
import type { OverloadUpdate, Update } from "./update.js";
import { mergeWishes, type SubscribeOptions } from "./wish.js";

const STOPPED: Disconnect = { code: 1000, reason: "disconnect was called" };

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
  readonly #linkUpdates: LinkUpdate[] = [];
  readonly #paces = new Map<string | null, Pace>();
  #state: ClientState = {
    status: "disconnected",
    code: null,
    reason: "connect was not called",
    retryInMs: null,
  };
  #hello: Hello | null = null;
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
    const mode = options.handOver ?? (typeof requestAnimationFrame === "function" ? "frame" : "now");
    this.#handOver = new HandOver(
      mode,
      (channel, updates, chars) => this.#deliver(channel, updates, chars),
      (busyMs, folded) => this.#keepPace(null, busyMs, folded),
    );
    this.#session = new Session(
      { ...RECONNECT, ...options.reconnect },
      Math.random,
      (channel, update, chars) => this.#handOver.push(channel, update, chars),
      (update) => this.#linkUpdates.push(update),
    );
    if (options.connect ?? true) this.connect();
  }

  /** Where the connection stands. */
  get state(): ClientStatus {
    return this.#state.status;
  }

  /** The same with code, reason and pause. */
  get detail(): ClientState {
    return this.#state;
  }

  /** What the gateway said of itself on this connection; null while there is none. */
  get hello(): Hello | null {
    return this.#hello;
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
    if (this.state === "disconnected") {
      this.#tellState({ status: "connecting", code: null, reason: "connect was called", retryInMs: 0 });
    }
    this.#step((now) => this.#session.start(now));
  }

  /** Ends the connection. Subscriptions keep their ledgers, and go on from their cursors after `connect`. */
  disconnect(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    clearTimeout(this.#hiddenTimer);
    this.#step((now) => this.#session.stop(STOPPED, now));
  }

  /**
   * Listens to a channel. Any number of components may hold the same one: there is one subscription on the wire, with
   * at least what each of them asked for, and one ledger. `last` counts for whoever comes first. Throws a RangeError
   * that names what is wrong.
   */
  subscribe(channel: string, options: SubscribeOptions = {}): Subscription {
    const held = this.#holds.get(channel);
    if (!held && this.#session.isFull) throw new RangeError("too many channels for one client");
    const subscription = new Subscription(this.#owner, channel, options);
    this.#holds.set(channel, (held ?? new Set()).add(subscription));
    this.#note(channel);
    return subscription;
  }

  /** The highest rung wanted of the whole connection; `full` lifts it. Kept across reconnects. */
  setCeiling(rung: Rung): void {
    this.#session.requests.ceilings.set("asked", rung);
    this.#step(() => {});
  }

  /** Gives the gateway a new token without a new connection. */
  setToken(token: string): void {
    this.#session.requests.token = token;
    this.#step(() => {});
  }

  /** The channels that are held. */
  get channels(): string[] {
    return [...this.#holds.keys()];
  }

  readonly #owner: Owner = {
    rung: (account) => lower(account.rung, this.#session.accounts.ceiling),
    now: () => Date.now(),
    changed: ({ channel }) => this.#note(channel),
    release: (subscription) => {
      const { channel } = subscription;
      const held = this.#holds.get(channel);
      if (!held?.delete(subscription)) return;
      if (held.size === 0) this.#holds.delete(channel);
      this.#note(channel);
    },
    overflowed: (channel) => this.#keepPace(channel, 0, true),
  };

  /** What changes within one tick goes to the session as one. */
  #note(channel: string): void {
    if (this.#changed.size === 0) queueMicrotask(() => this.#step(() => this.#settleHolds()));
    this.#changed.add(channel);
  }

  #settleHolds(): void {
    for (const channel of this.#changed) {
      const held = [...(this.#holds.get(channel) ?? [])];
      if (held.length === 0) {
        this.#session.leave(channel, Date.now());
        this.#paces.delete(channel);
        continue;
      }
      const { max_rate_default } = this.#session.requests.limits;
      this.#session.want(
        channel,
        mergeWishes(
          held.map((one) => one.wish),
          max_rate_default,
        ),
      );
      const account = this.#session.accounts.get(channel);
      if (account) for (const one of held) this.#hold(one, account);
    }
    this.#changed.clear();
  }

  /** A component that comes later is told where the channel stands. */
  #hold(subscription: Subscription, account: Account): void {
    if (!subscription.hold(account) || account.phase.is !== "live") return;
    const { rung } = subscription;
    const updates: Update[] = [
      {
        type: "subscribed",
        continuity: "new",
        rung,
        maxRate: account.maxRate ?? 0,
        tickMs: account.tickMs ?? 250,
      },
    ];
    if (subscription.state) updates.push({ type: "state", state: subscription.state });
    subscription.handle(updates, 0);
  }

  #deliver(channel: string, updates: Update[], chars: number): void {
    for (const subscription of [...(this.#holds.get(channel) ?? [])]) subscription.handle(updates, chars);
  }

  #handleLink(update: LinkUpdate): void {
    switch (update.type) {
      case "connected":
        this.#hello = update.hello;
        this.#tellState({ status: "connected", code: null, reason: "", retryInMs: null });
        break;
      case "disconnected": {
        const { code, reason, retryInMs } = update;
        this.#hello = null;
        this.#tellState({
          status: retryInMs === null ? "disconnected" : "connecting",
          code,
          reason,
          retryInMs,
        });
        if (retryInMs === null) this.#refuseWaiting(reason);
        break;
      }
      case "violation":
        this.emit("violation", update.violation);
        break;
      case "upstream":
        this.emit("upstream", update);
        break;
      case "error":
        this.emit("error", update);
        break;
      case "goodbye":
        this.emit("goodbye", update);
    }
  }

  /** Nobody shall wait for ever for what will not come. */
  #refuseWaiting(reason: string): void {
    for (const held of this.#holds.values()) for (const one of held) one.refuse(reason);
  }

  #tellState(state: ClientState): void {
    this.#state = state;
    this.emit("state", state);
  }

  /** Every input ends here: the session has changed, so do what it wants next. */
  #step(input: (now: number) => void): void {
    const now = Date.now();
    input(now);
    const { link } = this.#session;
    if (link.is === "down" || link.is === "ended") this.#dropSocket();
    if (link.is === "down" && link.until <= now) this.#open(now);
    this.#transmit(now);
    for (let update = this.#linkUpdates.shift(); update; update = this.#linkUpdates.shift())
      this.#handleLink(update);
    this.#handOver.settle();
    this.#setTimer(Date.now());
  }

  #transmit(now: number): void {
    const socket = this.#socket;
    while (socket && socket.bufferedAmount < UNSENT_MAX) {
      const text = this.#session.next(now);
      if (text === null) return;
      socket.send(text);
    }
  }

  /** An attempt: the token, then the socket. Whatever comes of an attempt that is over is ignored. */
  #open(now: number): void {
    this.#session.handleOpening(now);
    const attempt = this.#session.link;
    const isOver = (): boolean => this.#session.link !== attempt;
    const fail = (error: unknown): void => {
      if (isOver()) return;
      const reason = `the attempt failed: ${error instanceof Error ? error.message : error}`;
      this.#step((at) => this.#session.handleDisconnect({ code: null, reason }, at));
    };
    const { token } = this.#options;
    if (!token) {
      // Not in this call: a socket class may throw, and the session is being changed.
      queueMicrotask(() => (isOver() ? undefined : this.#openSocket(null, fail)));
      return;
    }
    Promise.resolve()
      .then(token)
      .then((text) => (isOver() ? undefined : this.#openSocket(text, fail)))
      .catch(fail);
  }

  #openSocket(token: string | null, fail: (error: unknown) => void): void {
    this.#session.requests.token = token;
    let socket: Socket;
    try {
      socket = new this.#socketClass(this.url, ["tally.v1"]) as Socket;
    } catch (error) {
      return fail(error);
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) =>
      this.#step((now) => {
        if (typeof data === "string") this.#session.handleText(data, now);
        else this.#session.handleBinary(now);
      });
    // What an error was is only told by the close that follows.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const known = code === 1005 || code === 1006 ? null : code;
      const words = reason || (known === null ? "the connection was lost" : `closed with code ${code}`);
      this.#step((now) => this.#session.handleDisconnect({ code: known, reason: words }, now));
    };
  }

  #dropSocket(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  /** One timer, never longer than the supervision sleeps: the wall clock says whether the machine slept. */
  #setTimer(now: number): void {
    clearTimeout(this.#timer);
    const deadline = this.#session.deadline();
    if (deadline === null) return;
    const wait = Math.min(Math.max(deadline - now, 0), SUPERVISE_MS);
    this.#timerDue = now + wait;
    this.#timer = setTimeout(() => this.#wake(), wait);
  }

  #wake(): void {
    const late = Date.now() - this.#timerDue > SUPERVISE_MS;
    for (const channel of [...this.#paces.keys()]) this.#keepPace(channel, 0, false);
    this.#step((now) => this.#session.handleTimeout(now, late));
  }

  #handleVisible(isVisible: boolean): void {
    if (this.#options.hidden === "keep") return;
    clearTimeout(this.#hiddenTimer);
    if (isVisible) this.#setHidden(false);
    else this.#hiddenTimer = setTimeout(() => this.#setHidden(true), HIDDEN_GRACE_MS);
  }

  #setHidden(isHidden: boolean): void {
    const { requests } = this.#session;
    requests.ceilings.set("hidden", isHidden ? "counts" : "full");
    requests.tick = isHidden ? 5000 : null;
    requests.touchAll();
    this.#step(() => {});
  }

  /** Of one channel, or (null) of the page: too slow asks for a lower rung, and calm for a higher one. */
  #keepPace(channel: string | null, busyMs: number, folded: boolean): void {
    const pace = this.#paces.get(channel) ?? new Pace();
    this.#paces.set(channel, pace);
    if (!pace.handle(Date.now(), busyMs, folded)) return;
    const update: OverloadUpdate = { type: "overload", rung: pace.rung };
    if (channel === null) {
      this.#session.requests.ceilings.set("overload", pace.rung);
      this.emit("overload", update);
    } else {
      const account = this.#session.accounts.get(channel);
      if (account) account.lowered = pace.rung;
      this.#session.accounts.due.add(channel);
      for (const one of [...(this.#holds.get(channel) ?? [])]) one.handle([update], 0);
    }
    // Not in this call: it may come from within a hand-over.
    queueMicrotask(() => this.#step(() => {}));
  }
}
