//! A Chromium without Playwright, over its debugging protocol: Playwright has every page believe that it is seen.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { FLAGS, PROGRAM } from "./browser.ts";
import { Child } from "./child.ts";
import { until } from "./until.ts";

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export class RawBrowser {
  #id = 0;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  private constructor(
    private readonly child: Child,
    private readonly folder: string,
    private readonly socket: WebSocket,
  ) {
    socket.on("message", (data) => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id === undefined) return;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  static async launch(): Promise<RawBrowser> {
    const folder = await mkdtemp(join(tmpdir(), "tally-chromium-"));
    const child = new Child("chromium", PROGRAM, [
      ...FLAGS,
      "--remote-debugging-port=0",
      `--user-data-dir=${folder}`,
    ]);
    const port = join(folder, "DevToolsActivePort");
    const address = await until("the browser's debugging port", async () => {
      child.check();
      const [number, path] = (await readFile(port, "utf8")).split("\n");
      return number && path ? `ws://127.0.0.1:${number}${path}` : null;
    });
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return new RawBrowser(child, folder, socket);
  }

  async send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result ?? {};
  }

  async open(url: string): Promise<RawTab> {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    return new RawTab(this, String(targetId), String(sessionId));
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.child.end();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class RawTab {
  constructor(
    private readonly browser: RawBrowser,
    private readonly targetId: string,
    private readonly sessionId: string,
  ) {}

  /** The value of an expression in the page, as JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const params = { expression: `JSON.stringify(${expression}) ?? "null"`, awaitPromise: true };
    const { result, exceptionDetails } = (await this.browser.send(
      "Runtime.evaluate",
      params,
      this.sessionId,
    )) as {
      result: { value?: string };
      exceptionDetails?: { text: string };
    };
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return JSON.parse(result.value ?? "null") as T;
  }

  /** In front of all other tabs of its window. */
  async show(): Promise<void> {
    await this.browser.send("Target.activateTarget", { targetId: this.targetId });
  }
}
