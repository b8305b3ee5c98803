//! A scripted gateway: real sockets, and the test says what it answers.

import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

// biome-ignore lint/suspicious/noExplicitAny: frames are looked at field by field.
export type Frame = Record<string, any>;

/** One connection of a client. */
export class Connection {
  readonly #received: Frame[] = [];
  readonly #waiting: ((frame: Frame) => void)[] = [];
  readonly closed: Promise<number>;

  constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      const waiting = this.#waiting.shift();
      if (waiting) waiting(frame);
      else this.#received.push(frame);
    });
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  /** The next frame from the client. */
  async receive(): Promise<Frame> {
    return this.#received.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** What came and was not asked for yet. */
  get unread(): readonly Frame[] {
    return this.#received;
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.socket.send(JSON.stringify(frame));
  }

  hello(heartbeat_ms = 15_000): void {
    const limits = {
      frame_bytes: 65536,
      subscriptions: 1000,
      max_rate_default: 200,
      max_rate: 10000,
      last: 1000,
    };
    this.send({ type: "hello", protocol: "tally.v1", connection: "c-1", heartbeat_ms, limits });
  }

  /** A frame that the client must have handled when its answer is here: an `unsubscribe` of nothing is an error. */
  goodbye(code: string, number: number, retry_after_ms: [number, number] = [0, 10]): void {
    this.send({ type: "goodbye", code, reason: `because of ${code}`, retry_after_ms });
    this.socket.close(number);
  }
}

export class Server {
  readonly #server: WebSocketServer;
  readonly #accepted: Connection[] = [];
  readonly #waiting: ((connection: Connection) => void)[] = [];
  readonly connections: Connection[] = [];

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on("connection", (socket) => {
      const connection = new Connection(socket);
      this.connections.push(connection);
      const waiting = this.#waiting.shift();
      if (waiting) waiting(connection);
      else this.#accepted.push(connection);
    });
  }

  static async start(port = 0): Promise<Server> {
    const handleProtocols = (offered: Set<string>) => offered.has("tally.v1") && "tally.v1";
    const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/v1/ws", handleProtocols });
    await new Promise((resolve) => server.once("listening", resolve));
    return new Server(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next connection. */
  async accept(): Promise<Connection> {
    return this.#accepted.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next connection, greeted. */
  async greet(heartbeat_ms?: number): Promise<Connection> {
    const connection = await this.accept();
    connection.hello(heartbeat_ms);
    return connection;
  }

  async stop(): Promise<void> {
    for (const { socket } of this.connections) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** `subscribed` at a position. */
export const at = (id: number, channel: string, totals: Record<string, number>, more: Frame = {}): Frame => {
  const seq = Object.values(totals).reduce((a, b) => a + b, 0);
  return {
    type: "subscribed",
    id,
    channel,
    epoch: seq ? "e1" : null,
    seq,
    totals,
    state: null,
    rung: "full",
    max_rate: 200,
    tick_ms: 250,
    resumed: false,
    upstream: "up",
    ...more,
  };
};

export const resumed = (id: number, channel: string, seq: number): Frame => {
  const { totals: _, state: __, ...rest } = at(id, channel, {});
  return { ...rest, epoch: "e1", seq, resumed: true };
};

/** `events` from this seq on, one for each kind. */
export const events = (channel: string, from: number, ...kinds: string[]): Frame => ({
  type: "events",
  channel,
  epoch: "e1",
  from,
  to: from + kinds.length - 1,
  events: kinds.map((kind) => ({ kind, at: 1, data: { kind } })),
});

export const counts = (channel: string, totals: Record<string, number>, more: Frame = {}): Frame => ({
  type: "counts",
  channel,
  epoch: "e1",
  seq: Object.values(totals).reduce((a, b) => a + b, 0),
  totals,
  why: "throttled",
  ...more,
});
