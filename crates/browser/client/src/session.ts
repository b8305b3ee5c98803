//! The session: everything a client knows and decides, without sockets, timers or clocks. Only pauses are random.
//!
//! `handle*` takes what happened and the time of it (ms, wall clock); `next` and `deadline` say what to do. Updates go
//! out through the callbacks given at the start, in the order in which things happened.

import { Account } from "./account.js";
import { Accounts, ASKED, type Tell } from "./accounts.js";
import { CLOSE_CODES, comesBack } from "./close.js";
import { decode } from "./decode.js";
import type { ErrorFrame, Goodbye, Hello, ServerFrame, Upstream } from "./frame.js";
import { CONNECT_MAX_MS, HEARTBEAT_MS, LATE_GRACE_MS, NEVER, SILENT_HEARTBEATS_MAX } from "./limits.js";
import type { ClientHandlers, ClientState, ClientStatus } from "./options.js";
import { pause, type Reconnect } from "./reconnect.js";
import { Requests } from "./requests.js";
import type { Wish } from "./wish.js";

/** Takes what is told about the connection. */
export type TellLink = <T extends keyof ClientHandlers>(type: T, value: ClientHandlers[T]) => void;

/** `until`: when it is over if nothing happens; that is at most `span` ms ahead, also where the clock is set back. */
export type Link = { until: number; readonly span: number } & (
  | { readonly is: "ended" }
  /** No connection; then the next attempt is due. */
  | { readonly is: "down" }
  /** An attempt is under way; `hello` must come. */
  | { readonly is: "opening" }
  /** Something must be received. */
  | { readonly is: "up"; readonly since: number; goodbye: Goodbye | null }
);

const ENDED: Link = { is: "ended", until: NEVER, span: NEVER };

export class Session {
  link = ENDED;
  state: ClientState = stateOf("disconnected", "connect was not called");
  /** What the gateway said of itself on this connection. */
  hello: Hello | null = null;
  readonly accounts: Accounts;
  readonly requests: Requests;
  violations = 0;
  /** Attempts in a row without a stable connection in between. */
  #attempts = 0;
  readonly #policy: Reconnect;
  readonly #tell: Tell;
  readonly #tellLink: TellLink;

  constructor(policy: Reconnect, tell: Tell, tellLink: TellLink) {
    this.#policy = policy;
    this.#tell = tell;
    this.#tellLink = tellLink;
    this.accounts = new Accounts(policy, tell, (violation) => {
      this.violations++;
      this.requests.report(violation);
      tellLink("violation", violation);
    });
    this.requests = new Requests(this.accounts);
  }

  /** Connect, or connect at once where a pause is under way. */
  start(now: number): void {
    const { is } = this.link;
    if (is === "ended") {
      this.#attempts = 0;
      this.#tellState(stateOf("connecting", "connect was called", null, 0));
    }
    if (is === "ended" || is === "down") this.link = { is: "down", until: now, span: 0 };
  }

  /** The channel is wanted from now on, like this. */
  want(channel: string, wish: Wish): void {
    const account = this.accounts.get(channel) ?? new Account(channel, wish);
    const { leaving, phase } = account;
    this.accounts.set(channel, account);
    this.accounts.due.add(channel);
    if (leaving?.follow === "forget") {
      // Not said yet: it was never left. Said: the old subscription ends, then a new one begins.
      const isUnsaid = leaving.id === null && phase.is !== "broken";
      account.leaving = isUnsaid ? null : { ...leaving, follow: "restart" };
    } else if (!leaving && account.isAttached && wish.tail && !account.wish.tail) {
      // Only a subscribe can ask for a tail; the ledger goes on.
      account.leaving = { follow: "resume", id: null };
    }
    account.wish = wish;
  }

  /** Nobody wants the channel any more. */
  leave(channel: string, now: number): void {
    const account = this.accounts.get(channel);
    if (!account) return;
    account.leaving = { id: account.leaving?.id ?? null, follow: "forget" };
    if (account.phase.is === "wanted") this.accounts.end(account, ASKED, now);
    else this.accounts.due.add(channel);
  }

  /** The shell begins an attempt. */
  handleOpening(now: number): void {
    this.link = { is: "opening", until: now + CONNECT_MAX_MS, span: CONNECT_MAX_MS };
  }

  /** A message; one that is no text cannot be read. */
  handleMessage(data: unknown, now: number): void {
    const { link } = this;
    if (link.is !== "opening" && link.is !== "up") return;
    const text = typeof data === "string" ? data : "";
    try {
      const frame = decode(text);
      if (link.is === "up") {
        link.until = now + link.span;
        if (frame) this.#handleFrame(frame, link, text.length, now);
      } else if (frame) this.#handleHello(frame, now);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.handleDisconnect(now, `a frame cannot be read: ${error.message}: ${text.slice(0, 120)}`);
    }
  }

  /** The connection ended, or an attempt failed. `goodbye` may have the words, the window, and the code. */
  handleDisconnect(now: number, cause: string, closeCode: number | null = null): void {
    const { link } = this;
    if (link.is !== "opening" && link.is !== "up") return;
    if (link.is === "up" && now - link.since >= this.#policy.stableAfterMs) this.#attempts = 0;
    const goodbye = link.is === "up" ? link.goodbye : null;
    let code = closeCode;
    if (goodbye && (code ?? 0) < 4000) code = CLOSE_CODES[goodbye.code as keyof typeof CLOSE_CODES] ?? code;
    const retryInMs =
      code === null || comesBack(code)
        ? pause(this.#policy, this.#attempts++, goodbye?.retry_after_ms ?? null)
        : null;
    this.#down(goodbye?.reason ?? cause, code, retryInMs, now);
  }

  /** The application wants no connection; accounts stay for the next `start`. */
  stop(now: number): void {
    if (this.link.is !== "ended") this.#down("disconnect was called", 1000, null, now);
  }

  /** `late`: the machine slept, or the page was busy, so frames may lie in the socket that were not read. */
  handleTimeout(now: number, late: boolean): void {
    const { link } = this;
    const { is, span } = link;
    link.until = Math.min(link.until, now + span);
    if (now < link.until) return;
    if (is === "up" && late) {
      link.until = now + LATE_GRACE_MS;
      return;
    }
    const missing = is === "up" ? "nothing was received for" : "no hello within";
    this.handleDisconnect(now, `${missing} ${span} ms`);
  }

  /**
   * The network went or came back. There is a connection: it has to prove within a heartbeat that it lives, as what the
   * browser calls offline need not concern this gateway. There is none: online is the moment to try.
   */
  handleNetwork(isOnline: boolean, now: number): void {
    const { link } = this;
    let within = link.span;
    if (link.is === "down" && isOnline) {
      this.#attempts = 0;
      within = Math.random() * this.#policy.baseMs;
    } else if (link.is === "up") within = link.span / SILENT_HEARTBEATS_MAX + LATE_GRACE_MS;
    link.until = Math.min(link.until, now + within);
  }

  /** When `handleTimeout`, the next attempt or the next request is due; never, where nothing is. */
  deadline(): number {
    const { is, until } = this.link;
    return is === "up" ? Math.min(until, this.requests.dueAt()) : until;
  }

  /** The next frame for the gateway as text; null where there is none now. */
  next(now: number): string | null {
    const frame = this.link.is === "up" ? this.requests.next(now) : null;
    return frame && JSON.stringify(frame);
  }

  #handleHello(frame: ServerFrame, now: number): void {
    if (frame.type !== "hello") throw new SyntaxError("hello must come first");
    const [least, most] = HEARTBEAT_MS;
    const span = Math.min(Math.max(frame.heartbeat_ms, least), most) * SILENT_HEARTBEATS_MAX;
    this.link = { is: "up", until: now + span, span, since: now, goodbye: null };
    this.hello = frame;
    this.requests.handleHello(frame.limits);
    this.#tellState(stateOf("connected", ""));
  }

  #handleFrame(frame: ServerFrame, link: Extract<Link, { is: "up" }>, chars: number, now: number): void {
    const { type } = frame;
    if (type === "hello" || type === "heartbeat") return;
    if (type !== "goodbye" && type !== "upstream" && type !== "error") {
      return this.accounts.handle(frame, chars, now);
    }
    this.#tellLink(type, frame as never);
    if (type === "goodbye") link.goodbye = frame;
    if (type === "upstream") this.#handleUpstream(frame);
    if (type === "error") this.#handleError(frame, now);
  }

  #handleUpstream(frame: Upstream): void {
    const { type, status, since } = frame;
    for (const channel of frame.channels ?? this.accounts.keys()) {
      const account = this.accounts.get(channel);
      if (!account || account.phase.is === "wanted" || account.upstream === status) continue;
      // A pending channel is told by its attach that the broker is back.
      if (account.upstream === "pending" && status === "up") continue;
      account.upstream = status;
      this.#tell(channel, { type, status, since }, 0);
    }
  }

  /** A refused `subscribe` ends that subscription, and so does a refused `unsubscribe`: there is none. */
  #handleError(frame: ErrorFrame, now: number): void {
    const { type, id, channel, code, message } = frame;
    // One bad name leaves the others of its request alone; it cannot be ours, as names are checked here.
    if (channel === null && code === "bad_channel") return;
    for (const account of [...this.accounts.values()]) {
      const { phase, leaving } = account;
      if (channel !== null && account.channel !== channel) continue;
      const isRefused = id !== null && (id === leaving?.id || (phase.is === "asked" && id === phase.id));
      if (channel !== null || isRefused) this.#tell(account.channel, { type, code, message }, 0);
      if (isRefused) this.accounts.end(account, leaving ? ASKED : code, now);
    }
  }

  #down(reason: string, code: number | null, retryInMs: number | null, now: number): void {
    this.link = retryInMs === null ? ENDED : { is: "down", until: now + retryInMs, span: retryInMs };
    this.hello = null;
    this.accounts.ceiling = "full";
    for (const account of [...this.accounts.values()]) {
      if (account.leaving) this.accounts.end(account, ASKED, now);
      else account.drop();
    }
    this.#tellState(stateOf(retryInMs === null ? "disconnected" : "connecting", reason, code, retryInMs));
  }

  #tellState(state: ClientState): void {
    this.state = state;
    this.#tellLink("state", state);
  }
}

const stateOf = (
  status: ClientStatus,
  reason: string,
  code: number | null = null,
  retryInMs: number | null = null,
): ClientState => ({ status, code, reason, retryInMs });
