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

/** `http(s)` or `ws(s)`, with or without the path; a path alone, or nothing, is of the page's own origin. */
export const endpoint = (url: string): string => {
  const base = globalThis.location?.href;
  const parsed = URL.canParse(url, base) && new URL(url, base);
  if (!parsed || !/^(http|ws)s?:/.test(parsed.protocol)) {
    throw new TypeError(`URL ${JSON.stringify(url)} must be like https://host:8420`);
  }
  parsed.pathname = parsed.pathname.replace(/\/*(\/v1\/ws)?\/*$/, "/v1/ws");
  parsed.hash = "";
  // The protocol of a URL cannot be changed by its setter everywhere.
  return parsed.href.replace(/^http/, "ws");
};

/** The given class, or the global one. */
export const socketClass = (given: SocketClass | undefined): SocketClass => {
  const found = given ?? (globalThis.WebSocket as SocketClass | undefined);
  if (!found) throw new TypeError("no global WebSocket: pass that of ws as webSocket");
  return found;
};
