//! A scripted gateway of the admin port: real sockets and HTTP; the test says what is told and answered.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export type Json = Record<string, unknown>;

interface Channel {
  seq: number;
  readonly totals: Record<string, number>;
  readonly listeners: Set<WebSocket>;
}

/** What the script says to an ask: the answers' data, each from one gateway. */
export type OnAsk = (order: Json) => Json[];

export class ScriptedGateway {
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #channels = new Map<string, Channel>();
  /** Orders as they were posted, the oldest first. */
  readonly asked: Json[] = [];
  onAsk: OnAsk = () => [];
  /** Answers every ask with this status and error in place of 202. */
  refusal: { status: number; message: string } | null = null;
  /** Refuses to let anybody listen to `$` channels, as the public port does. */
  isPublic = false;
  serve: ((request: IncomingMessage, response: ServerResponse) => void) | null = null;

  private constructor() {
    this.#http = createServer((request, response) => this.#handle(request, response));
    const handleProtocols = (offered: Set<string>) => offered.has("tally.v1") && "tally.v1";
    this.#sockets = new WebSocketServer({ server: this.#http, path: "/v1/ws", handleProtocols });
    this.#sockets.on("connection", (socket) => this.#greet(socket));
  }

  static async start(port = 0): Promise<ScriptedGateway> {
    const it = new ScriptedGateway();
    await new Promise<void>((resolve) => it.#http.listen(port, "127.0.0.1", resolve));
    return it;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Channels that somebody listens to. */
  get heard(): string[] {
    return [...this.#channels].filter(([, { listeners }]) => listeners.size > 0).map(([name]) => name);
  }

  /** One event to whoever listens. */
  say(channel: string, kind: string, data: unknown): void {
    const it = this.#channel(channel);
    it.seq += 1;
    it.totals[kind] = (it.totals[kind] ?? 0) + 1;
    const frame = {
      type: "events",
      channel,
      epoch: "e1",
      from: it.seq,
      to: it.seq,
      events: [{ kind, at: Date.now(), data }],
    };
    for (const socket of it.listeners) socket.send(JSON.stringify(frame));
  }

  /** To all connections. */
  tell(frame: Json): void {
    for (const socket of this.#sockets.clients) socket.send(JSON.stringify(frame));
  }

  /** Ends all connections, as a network does. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #channel(name: string): Channel {
    const held = this.#channels.get(name) ?? { seq: 0, totals: {}, listeners: new Set() };
    this.#channels.set(name, held);
    return held;
  }

  #greet(socket: WebSocket): void {
    const limits = {
      frame_bytes: 65_536,
      subscriptions: 1_000,
      max_rate_default: 200,
      max_rate: 10_000,
      last: 1_000,
    };
    const send = (frame: Json) => socket.send(JSON.stringify(frame));
    send({ type: "hello", protocol: "tally.v1", connection: "0-1", heartbeat_ms: 15_000, limits });
    socket.on("message", (data) => this.#take(socket, send, JSON.parse(String(data))));
    socket.on("close", () => {
      for (const { listeners } of this.#channels.values()) listeners.delete(socket);
    });
  }

  #take(socket: WebSocket, send: (frame: Json) => void, frame: Json): void {
    const { type, id } = frame;
    for (const wish of (frame.channels as (Json | string)[] | undefined) ?? []) {
      const name = typeof wish === "string" ? wish : String(wish.channel);
      const it = this.#channel(name);
      if (type === "unsubscribe") {
        it.listeners.delete(socket);
        send({ type: "unsubscribed", id, channel: name, code: "asked" });
      }
      if (type !== "subscribe") continue;
      if (this.isPublic) {
        const message = `${name} is Tally's own; listen to it on the admin port`;
        send({ type: "error", id, channel: name, code: "forbidden", message });
        continue;
      }
      const granted = { id, channel: name, rung: "full", max_rate: 1_000, tick_ms: 250, upstream: "up" };
      // A cursor of before is refused: this gateway has no log.
      const at = { epoch: it.seq > 0 ? "e1" : null, seq: it.seq, totals: it.totals, state: null };
      send({ type: "subscribed", ...granted, ...at, resumed: false });
      if (typeof wish === "object" && wish.after) send({ type: "reset", channel: name, ...at });
      it.listeners.add(socket);
    }
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== "POST" || request.url !== "/ops/ask") {
      if (this.serve === null) response.writeHead(404).end();
      else this.serve(request, response);
      return;
    }
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      if (this.refusal !== null) {
        const { status, message } = this.refusal;
        response.writeHead(status).end(JSON.stringify({ error: { code: "bad_request", message } }));
        return;
      }
      const order = JSON.parse(body) as Json;
      this.asked.push(order);
      response.writeHead(202).end("{}");
      for (const data of this.onAsk(order))
        this.say(`$answers:${order.ask}`, "answer", { ask: order.ask, ...data });
    });
  }
}
