//! A real gateway with the embedded backplane: `TALLY_BIN`, or what cargo built; on free ports, ended by the test.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, watch } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = (): string => {
  const built = ["debug", "release"].map((profile) =>
    fileURLToPath(new URL(`../../../../target/${profile}/tally`, import.meta.url)),
  );
  const path = [process.env.TALLY_BIN ?? "", ...built].find((one) => one && existsSync(one));
  if (!path) throw new Error(`no gateway: run \`cargo build\`, or name one in TALLY_BIN`);
  return path;
};

export class Gateway {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(...args: string[]): Promise<Gateway> {
    const folder = await mkdtemp(join(tmpdir(), "tally-client-"));
    const file = join(folder, "addresses.json");
    const fixed = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--addresses-file", file];
    // The gateway takes variables that begin with TALLY_ for settings; this one is ours.
    const { TALLY_BIN: _, ...env } = process.env;
    const child = spawn(program(), [...fixed, ...args], { env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (text) => {
      said = (said + text).slice(-2_000);
    });
    const addresses = await new Promise<{ listen: string }>((resolve, reject) => {
      const look = async (): Promise<void> => {
        try {
          resolve(JSON.parse(await readFile(file, "utf8")));
          watcher.close();
        } catch {
          // Not written yet, or not whole.
        }
      };
      const watcher = watch(folder, look);
      child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}: ${said}`)));
      void look();
    });
    return new Gateway(`http://${addresses.listen}`, child, folder);
  }

  /** Publishes one batch; answers with the last seq. */
  async publish(channel: string, events: readonly object[]): Promise<number> {
    const path = `${this.url}/v1/channels/${encodeURIComponent(channel)}/events`;
    const response = await fetch(path, { method: "POST", body: JSON.stringify(events) });
    const body = (await response.json()) as { to: number };
    if (!response.ok) throw new Error(`publish: ${response.status} ${JSON.stringify(body)}`);
    return body.to;
  }

  /** The channel as the broker has it. */
  async snapshot(
    channel: string,
  ): Promise<{ epoch: string; seq: number; totals: Record<string, number>; state: unknown }> {
    const response = await fetch(`${this.url}/v1/channels/${encodeURIComponent(channel)}`);
    return response.json() as ReturnType<Gateway["snapshot"]>;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}
