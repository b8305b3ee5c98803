//! A real redis-server on a free port of loopback, in a folder of its own; it can be stopped and come back.

import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.ts";
import { until } from "./until.ts";

/** Tries for a port: somebody else may take a free one first. */
const PORTS_MAX = 5;

export class Redis {
  #child: Child | null = null;

  private constructor(
    readonly port: number,
    readonly folder: string,
  ) {}

  static async start(): Promise<Redis> {
    const folder = await mkdtemp(join(tmpdir(), "tally-redis-"));
    for (let tries = 1; ; tries++) {
      const redis = new Redis(await freePort(), folder);
      try {
        await redis.start();
        return redis;
      } catch (error) {
        if (tries === PORTS_MAX) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Begins, or comes back with what it had written down. */
  async start(): Promise<void> {
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.folder, "--save", ""];
    const child = new Child("redis-server", "redis-server", [...args, "--appendonly", "yes"]);
    this.#child = child;
    await until("PONG from redis-server", () => {
      child.check();
      return this.#ping();
    });
  }

  /** Away, as after `systemctl stop`. */
  async stop(): Promise<void> {
    await this.#child?.end();
    this.#child = null;
  }

  /** Away, and everything that it had is lost. */
  async lose(): Promise<void> {
    await this.#child?.kill();
    this.#child = null;
    await rm(join(this.folder, "appendonlydir"), { recursive: true, force: true });
  }

  async end(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  #ping(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(this.port, "127.0.0.1", () => socket.write("PING\r\n"));
      socket.setEncoding("utf8").once("data", (text) => {
        socket.destroy();
        resolve(String(text).startsWith("+PONG"));
      });
      socket.once("error", () => resolve(false));
    });
  }
}

/** A port that nobody listened on a moment ago. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
