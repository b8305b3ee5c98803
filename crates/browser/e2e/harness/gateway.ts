//! A real gateway: `tally serve` from this repository's build, on free ports; published to and asked over HTTP.

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child } from "./child.ts";
import { freePort, type Redis } from "./redis.ts";
import { until } from "./until.ts";

/** The program under test: `TALLY_BIN`, or what cargo built for development. */
export const program = (): string => {
  const built = fileURLToPath(new URL("../../../../target/debug/tally", import.meta.url));
  const path = process.env.TALLY_BIN ?? built;
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`cargo build\`, or name it in TALLY_BIN`);
  return path;
};

export interface Event {
  readonly kind: string;
  readonly class?: "bulk" | "state";
  readonly data?: unknown;
  readonly at?: number;
}

export interface Snapshot {
  readonly epoch: string | null;
  readonly seq: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly state: unknown;
}

export interface GatewayOptions {
  /** Without one the gateway is its own broker. */
  readonly redis?: Redis;
  /** As `--set` takes them, such as `tick_ms=250`. */
  readonly settings?: readonly string[];
  /** Default: a free one. Named where a page must find another gateway in the place of the first. */
  readonly port?: number;
}

export class Gateway {
  private constructor(
    readonly url: string,
    readonly adminUrl: string,
    readonly port: number,
    readonly child: Child,
    readonly folder: string,
  ) {}

  static async start({ redis, settings = [], port }: GatewayOptions = {}): Promise<Gateway> {
    const folder = await mkdtemp(join(tmpdir(), "tally-gateway-"));
    const addresses = join(folder, "addresses.json");
    const listen = `127.0.0.1:${port ?? (await freePort())}`;
    const args = ["serve", "--listen", listen, "--admin", "127.0.0.1:0", "--addresses-file", addresses];
    if (redis) args.push("--redis", redis.url);
    for (const setting of settings) args.push("--set", setting);
    const child = new Child("tally serve", program(), args);
    const bound = await until("the gateway's addresses", async () => {
      child.check();
      return existsSync(addresses) ? (JSON.parse(await readFile(addresses, "utf8")) as Addresses) : null;
    });
    const own = Number(bound.listen.split(":").at(-1));
    return new Gateway(`http://${bound.listen}`, `http://${bound.admin}`, own, child, folder);
  }

  /** Publishes one batch, and answers with the last seq. */
  async publish(channel: string, events: readonly Event[]): Promise<number> {
    const response = await fetch(`${this.url}/v1/channels/${encodeURIComponent(channel)}/events`, {
      method: "POST",
      body: JSON.stringify(events),
    });
    const body = (await response.json()) as { to?: number };
    if (!response.ok || body.to === undefined)
      throw new Error(`publish to ${channel}: ${response.status} ${JSON.stringify(body)}`);
    return body.to;
  }

  /** The broker's own account of a channel; null where there is none. */
  async snapshot(channel: string): Promise<Snapshot | null> {
    const response = await fetch(`${this.url}/v1/channels/${encodeURIComponent(channel)}`);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`snapshot of ${channel}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Snapshot;
  }

  async end(): Promise<void> {
    await this.child.end();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** As by SIGKILL or a lost machine: nobody is told goodbye. */
  async kill(): Promise<void> {
    await this.child.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface Addresses {
  readonly listen: string;
  readonly admin: string;
}
