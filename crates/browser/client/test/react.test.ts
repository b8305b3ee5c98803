// @vitest-environment happy-dom
//! The hooks, in React itself.

import { act, createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Client } from "../src/index.js";
import { useChannel, useClientState } from "../src/react.js";
import { at, events, Server } from "./server.js";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface JobProps {
  readonly client: Client;
  readonly channel: string;
  readonly told: string[];
}

const Job = ({ client, channel, told }: JobProps) => {
  const { cursor, totals, isAttached } = useChannel(client, channel, {
    onUpdate: (update) => told.push(update.type),
  });
  const { status } = useClientState(client);
  return createElement("p", null, `${status} ${isAttached} ${cursor} ${totals.get("ok") ?? 0}`);
};

it("renders a channel, subscribes once in strict mode, and lets go when it is unmounted", async () => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  const server = await Server.start();
  ends.push(() => server.stop());
  const client = new Client(server.url, { webSocket: WebSocket, handOver: "now" });
  ends.push(() => client.disconnect());
  const told: string[] = [];
  const place = document.createElement("div");
  const root = createRoot(place);
  const job = createElement(Job, { client, channel: "job:1", told });
  await act(async () => root.render(createElement(StrictMode, null, job, job)));
  const gateway = await server.greet();
  const { id, channels } = await gateway.receive();
  expect(channels).toEqual([{ channel: "job:1", rung: "full", tick_ms: 250 }]);
  const seen = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (place.innerHTML !== `<p>${text}</p><p>${text}</p>`) return;
        observer.disconnect();
        resolve();
      };
      const observer = new MutationObserver(look);
      observer.observe(place, { childList: true, characterData: true, subtree: true });
      look();
    });
  await act(async () => {
    gateway.send(at(id, "job:1", { ok: 6 }), events("job:1", 7, "ok", "failed"));
    await seen("connected true 8 7");
  });
  expect(place.textContent).toBe("connected true 8 7connected true 8 7");
  expect(told).toContain("events");
  await act(async () => root.unmount());
  expect(await gateway.receive()).toMatchObject({ type: "unsubscribe", channels: ["job:1"] });
});
