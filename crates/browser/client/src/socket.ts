//! The websocket as the client uses it: the browser's own, Node's, or that of the package `ws`.

/** The part of a WebSocket that is used here. */
export interface Socket {
  readonly bufferedAmount: number;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** Makes a socket; `WebSocket`, or that of `ws`, is one. */
export type SocketClass = new (url: string, protocols: string[]) => unknown;

const PATH = "/v1/ws";

/** `http(s)` or `ws(s)`, with or without the path; a path alone, or nothing, is of the page's own origin. */
export const endpoint = (url: string): string => {
  const fail = (rule: string): never => {
    throw new TypeError(`the gateway's URL ${JSON.stringify(url)} ${rule}`);
  };
  const base = globalThis.location?.href;
  const parsed = URL.canParse(url, base) ? new URL(url, base) : fail("must be like https://host:8420");
  const protocol = { "http:": "ws:", "ws:": "ws:", "https:": "wss:", "wss:": "wss:" }[parsed.protocol];
  if (!protocol) fail("must begin with http, https, ws or wss");
  const path = parsed.pathname.replace(/\/+$/, "");
  // A URL's protocol cannot be changed from a special one to another by its setter everywhere.
  return `${protocol}//${parsed.host}${path.endsWith(PATH) ? path : path + PATH}${parsed.search}`;
};

/** The given class, or the global one. */
export const socketClass = (given: SocketClass | undefined): SocketClass => {
  const found = given ?? (globalThis.WebSocket as SocketClass | undefined);
  if (!found) {
    throw new TypeError(
      "there is no global WebSocket; pass the one of the package ws as the option webSocket",
    );
  }
  return found;
};
