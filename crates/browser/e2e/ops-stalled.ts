//! A client that subscribes, reads the answer, and then takes no byte more: what a slow consumer is to a gateway.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Gateway } from "./harness/gateway.ts";
import { until } from "./harness/until.ts";

export interface Stalled {
  /** Whether the gateway has ended the connection. It is seen only after reading again. */
  readonly ended: Promise<unknown>;
  /** Reads on, and throws away. */
  drain(): void;
  end(): void;
}

export const stall = async (
  gateway: Gateway,
  agent: string,
  channels: readonly string[],
): Promise<Stalled> => {
  const { hostname, port, host } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  // A gateway that resets the connection ends it too.
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const key = randomBytes(16).toString("base64");
  const upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
  const own = [`Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Protocol: tally.v1", `User-Agent: ${agent}`];
  socket.write(`${["GET /v1/ws HTTP/1.1", `Host: ${host}`, ...upgrade, ...own].join("\r\n")}\r\n\r\n`);
  let read = "";
  const keep = (chunk: Buffer) => {
    read += chunk.toString("latin1");
  };
  socket.on("data", keep);
  await until("the hello", () => read.includes('"hello"'));
  socket.write(
    frameOf({
      type: "subscribe",
      id: 1,
      channels: channels.map((channel) => ({ channel, max_rate: 10_000 })),
    }),
  );
  await until("the subscriptions", () => read.split('"subscribed"').length > channels.length);
  socket.off("data", keep);
  socket.pause();
  return {
    ended: once(socket, "close"),
    drain: () => socket.resume(),
    end: () => end(socket),
  };
};

const end = (socket: Socket): void => {
  socket.destroy();
};

/** One text frame of a client, masked, of 126 to 65,535 bytes. */
const frameOf = (value: object): Buffer => {
  const body = Buffer.from(JSON.stringify(value).padEnd(126));
  const mask = randomBytes(4);
  for (const [i, byte] of body.entries()) body[i] = byte ^ (mask[i % 4] ?? 0);
  return Buffer.concat([Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255]), mask, body]);
};
