//! One process of a test: started, waited for, ended by its id; what it printed last is kept for the failure.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Hopeless } from "./until.ts";

/** Characters of output kept; the oldest go. */
const OUTPUT_MAX = 64 * 1024;

export class Child {
  output = "";
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(
    readonly name: string,
    program: string,
    args: readonly string[],
    environment: Record<string, string> = {},
  ) {
    this.#process = spawn(program, args, {
      env: { ...ownEnvironment(), ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#ended = once(this.#process, "exit");
    this.#process.on("error", (error) => this.#keep(`${error}\n`));
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#keep(text));
    }
    running.add(this);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null && this.pid !== undefined;
  }

  /** Throws what it printed if it has ended. */
  check(): void {
    if (!this.isRunning)
      throw new Hopeless(`${this.name} ended (${this.#process.exitCode}): ${this.output.slice(-2000)}`);
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    running.delete(this);
    if (!this.isRunning) return;
    this.#process.kill(signal);
    const last = setTimeout(() => this.#process.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(last);
  }

  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  #keep(text: string): void {
    this.output = (this.output + text).slice(-OUTPUT_MAX);
  }
}

/** What still runs when the test run itself ends, however it ends. */
const running = new Set<Child>();
process.on("exit", () => {
  for (const { pid } of running) {
    try {
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    } catch {
      // It had ended by itself.
    }
  }
});

/** Without the settings of Tally: what a test starts is set by the test alone. */
const ownEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TALLY_")));
