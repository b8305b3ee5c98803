//! The session: everything a client knows and decides, without sockets, timers or clocks.
//!
//! `handle*` takes what happened and the time of it (ms, wall clock); `next` and `deadline` say what to do. Updates go
//! out through the callbacks given at the start, in the order in which things happened.

import { Account } from "./account.js";
import { Accounts, ASKED, type Tell } from "./accounts.js";
import { CLOSE_CODES, comesBack, type Disconnect } from "./close.js";
import { decode, FrameError } from "./decode.js";
import { encode } from "./encode.js";
import type { ErrorFrame, Goodbye, Hello, ServerFrame, Upstream } from "./frame.js";
import type { Violation } from "./ledger.js";
import {
  CHANNELS_MAX,
  CONNECT_MAX_MS,
  HEARTBEAT_MS,
  LATE_GRACE_MS,
  SILENT_HEARTBEATS_MAX,
} from "./limits.js";
import { pause, type Random, type Reconnect } from "./reconnect.js";
import { Requests } from "./requests.js";
import type { Wish } from "./wish.js";

/** What is told about the connection. */
export type LinkUpdate =
  | { readonly type: "connected"; readonly hello: Hello }
  /** `retryInMs` null: there will be no further attempt. */
  | ({ readonly type: "disconnected"; readonly retryInMs: number | null } & Disconnect)
  | { readonly type: "violation"; readonly violation: Violation }
  | Upstream
  | ErrorFrame
  | Goodbye;

export type Link =
  /** For good, or not started. */
  | { readonly is: "ended" }
  /** No connection; the next attempt is due then. */
  | { readonly is: "down"; readonly until: number }
  /** An attempt is under way; `hello` must come. */
  | { readonly is: "opening"; readonly since: number }
  | {
      readonly is: "up";
      readonly since: number;
      heardAt: number;
      readonly heartbeatMs: number;
      goodbye: Goodbye | null;
    };

export class Session {
  link: Link = { is: "ended" };
  readonly accounts: Accounts;
  readonly requests: Requests;
  violations = 0;
  /** Attempts in a row without a stable connection in between. */
  attempts = 0;

  constructor(
    private readonly policy: Reconnect,
    private readonly random: Random,
    private readonly tell: Tell,
    private readonly tellLink: (update: LinkUpdate) => void,
  ) {
    this.accounts = new Accounts(policy, random, tell, (violation) => {
      this.violations++;
      this.requests.report(violation);
      tellLink({ type: "violation", violation });
    });
    this.requests = new Requests(this.accounts);
  }

  /** Connect, or connect at once where a pause is under way. */
  start(now: number): void {
    if (this.link.is === "ended") this.attempts = 0;
    if (this.link.is === "ended" || this.link.is === "down") this.link = { is: "down", until: now };
  }

  /** The channel is wanted from now on, like this. */
  want(channel: string, wish: Wish): void {
    const account = this.accounts.get(channel);
    this.accounts.due.add(channel);
    if (!account) {
      this.accounts.set(channel, new Account(channel, wish));
      return;
    }
    const before = account.wish;
    account.wish = wish;
    const { phase } = account;
    if (phase.is === "leaving" && phase.follow === "forget") {
      // Not said yet: it was never left. Said: the old subscription ends, then a new one begins.
      account.phase = phase.id === null ? phase.was : { ...phase, follow: "restart" };
    } else if (phase.is === "live" && wish.tail && !before.tail) {
      // Only a subscribe can ask for a tail; the ledger goes on.
      account.leave("resume");
    }
  }

  /** Nobody wants the channel any more. */
  leave(channel: string, now: number): void {
    const account = this.accounts.get(channel);
    if (!account) return;
    const { phase } = account;
    if (phase.is === "wanted") this.accounts.end(account, ASKED, now);
    else if (phase.is === "leaving") account.phase = { ...phase, follow: "forget" };
    else account.leave("forget");
    this.accounts.due.add(channel);
  }

  get isFull(): boolean {
    return this.accounts.size >= CHANNELS_MAX;
  }

  /** The shell begins an attempt. */
  handleOpening(now: number): void {
    this.link = { is: "opening", since: now };
  }

  handleText(text: string, now: number): void {
    const { link } = this;
    if (link.is !== "opening" && link.is !== "up") return;
    let frame: ServerFrame | null;
    try {
      frame = decode(text);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      return this.#handleUnreadable(error.message, text, now);
    }
    if (link.is === "up") link.heardAt = now;
    if (!frame) return;
    if (link.is === "opening") return this.#handleFirst(frame, text, now);
    switch (frame.type) {
      case "hello":
      case "heartbeat":
        break;
      case "goodbye":
        link.goodbye = frame;
        this.tellLink(frame);
        break;
      case "upstream":
        this.#handleUpstream(frame);
        break;
      case "error":
        this.#handleError(frame, now);
        break;
      default:
        this.accounts.handle(frame, text.length, now);
    }
  }

  /** A message that is no text. */
  handleBinary(now: number): void {
    this.#handleUnreadable("it is binary; frames are text", "", now);
  }

  /** The connection ended, or an attempt failed. */
  handleDisconnect(cause: Disconnect, now: number): void {
    if (this.link.is !== "opening" && this.link.is !== "up") return;
    const { disconnect, window } = this.#judge(cause, now);
    const back = disconnect.code === null || comesBack(disconnect.code);
    this.#down(disconnect, back ? pause(this.policy, this.attempts, window, this.random) : null, now);
    this.attempts++;
  }

  /** The application wants no connection; accounts stay for the next `start`. */
  stop(disconnect: Disconnect, now: number): void {
    if (this.link.is !== "ended") this.#down(disconnect, null, now);
  }

  /** `late`: the machine slept, or the page was busy, so frames may lie in the socket that were not read. */
  handleTimeout(now: number, late: boolean): void {
    const { link } = this;
    if (link.is === "opening") {
      if (now - link.since >= CONNECT_MAX_MS) {
        this.handleDisconnect({ code: null, reason: `no hello within ${CONNECT_MAX_MS} ms` }, now);
      } else if (now < link.since) this.link = { ...link, since: now };
      return;
    }
    if (link.is !== "up") return;
    const silenceMax = link.heartbeatMs * SILENT_HEARTBEATS_MAX;
    // The wall clock was set back.
    if (now < link.heardAt) link.heardAt = now;
    if (now - link.heardAt < silenceMax) return;
    if (late) {
      link.heardAt = now - silenceMax + LATE_GRACE_MS;
      return;
    }
    this.handleDisconnect({ code: null, reason: `nothing was received for ${silenceMax} ms` }, now);
  }

  /**
   * The network went or came back. There is a connection: it has to prove within a heartbeat that it lives, as what the
   * browser calls offline need not concern this gateway. There is none: online is the moment to try.
   */
  handleNetwork(isOnline: boolean, now: number): void {
    const { link } = this;
    if (link.is === "down" && isOnline) {
      this.attempts = 0;
      this.link = { is: "down", until: Math.min(link.until, now + this.random() * this.policy.baseMs) };
    } else if (link.is === "up") {
      const silenceMax = link.heartbeatMs * SILENT_HEARTBEATS_MAX;
      link.heardAt = Math.min(link.heardAt, now - silenceMax + link.heartbeatMs + LATE_GRACE_MS);
    }
  }

  /** When `handleTimeout`, the next attempt or the next request is due; null where nothing is. */
  deadline(): number | null {
    const { link } = this;
    if (link.is === "ended") return null;
    if (link.is === "down") return link.until;
    if (link.is === "opening") return link.since + CONNECT_MAX_MS;
    const silent = link.heardAt + link.heartbeatMs * SILENT_HEARTBEATS_MAX;
    return Math.min(silent, this.requests.dueAt() ?? silent);
  }

  /** The next frame for the gateway as text; null where there is none now. */
  next(now: number): string | null {
    if (this.link.is !== "up") return null;
    const frame = this.requests.next(now);
    return frame && encode(frame);
  }

  #handleFirst(frame: ServerFrame, text: string, now: number): void {
    if (frame.type !== "hello") return this.#handleUnreadable("the first frame must be hello", text, now);
    if (frame.protocol !== "tally.v1") {
      return this.#handleUnreadable(`it speaks ${frame.protocol}, this SDK speaks tally.v1`, text, now);
    }
    const [least, most] = HEARTBEAT_MS;
    const heartbeatMs = Math.min(Math.max(frame.heartbeat_ms, least), most);
    this.link = { is: "up", since: now, heardAt: now, heartbeatMs, goodbye: null };
    this.requests.handleHello(frame.limits);
    this.tellLink({ type: "connected", hello: frame });
  }

  #handleUnreadable(error: string, text: string, now: number): void {
    const reason = `the gateway sent a frame that cannot be read: ${error}: ${text.slice(0, 120)}`;
    this.handleDisconnect({ code: null, reason }, now);
  }

  #handleUpstream(frame: Upstream): void {
    const { type, status, since } = frame;
    this.tellLink(frame);
    for (const channel of frame.channels ?? this.accounts.keys()) {
      const account = this.accounts.get(channel);
      if (!account || account.phase.is === "wanted" || account.upstream === status) continue;
      // A pending channel is told by its attach that the broker is back.
      if (account.upstream === "pending" && !account.isAttached && status === "up") continue;
      account.upstream = status;
      this.tell(channel, { type, status, since }, 0);
    }
  }

  /** A refused `subscribe` ends that subscription, and so does a refused `unsubscribe`: there is none. */
  #handleError(frame: ErrorFrame, now: number): void {
    const { id, channel, code, message } = frame;
    this.tellLink(frame);
    // One bad name leaves the others of its request alone; it cannot be ours, as names are checked here.
    if (channel === null && code === "bad_channel") return;
    for (const account of [...this.accounts.values()]) {
      const { phase } = account;
      if (channel !== null && account.channel !== channel) continue;
      const isLeaving = phase.is === "leaving";
      const asked = phase.is === "asked" || isLeaving ? phase.unanswered?.id : undefined;
      const isRefused = id !== null && (id === asked || (isLeaving && id === phase.id));
      if (channel !== null || isRefused) this.tell(account.channel, { type: "error", code, message }, 0);
      if (isRefused) this.accounts.end(account, isLeaving ? ASKED : code, now);
    }
  }

  #down({ code, reason }: Disconnect, retryInMs: number | null, now: number): void {
    this.link = retryInMs === null ? { is: "ended" } : { is: "down", until: now + retryInMs };
    this.accounts.ceiling = "full";
    for (const account of [...this.accounts.values()]) {
      const { phase } = account;
      account.asked = null;
      account.resetDue = null;
      if (phase.is === "leaving") this.accounts.end(account, ASKED, now);
      else if (phase.is !== "wanted") account.phase = { is: "wanted", dueAt: 0 };
    }
    this.tellLink({ type: "disconnected", code, reason, retryInMs });
  }

  /** `goodbye` has the words, the window to come back in, and the code where the close frame has none of Tally's. */
  #judge(
    cause: Disconnect,
    now: number,
  ): { disconnect: Disconnect; window: Goodbye["retry_after_ms"] | null } {
    const { link } = this;
    if (link.is !== "up") return { disconnect: cause, window: null };
    if (now - link.since >= this.policy.stableAfterMs) this.attempts = 0;
    const { goodbye } = link;
    if (!goodbye) return { disconnect: cause, window: null };
    const said = CLOSE_CODES[goodbye.code as keyof typeof CLOSE_CODES] ?? cause.code;
    const code = cause.code !== null && cause.code >= 4000 ? cause.code : said;
    return { disconnect: { code, reason: goodbye.reason }, window: goodbye.retry_after_ms };
  }
}
