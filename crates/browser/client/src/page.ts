//! What the page around the client goes through: hidden and shown, offline and online, frozen and resumed.
//!
//! Everything is looked for before it is used: a web worker has no document, and Node has neither.

export interface PageHandlers {
  /** The page was hidden or shown. */
  visible(isVisible: boolean): void;
  /** The network went or came back. */
  network(isOnline: boolean): void;
  /** The page may have slept: look at the clock. */
  woke(): void;
}

/** Listens until the returned function is called. */
export const watchPage = (handlers: PageHandlers): (() => void) => {
  const ends: (() => void)[] = [];
  const listen = (target: EventTarget | undefined, type: string, handler: () => void): void => {
    if (typeof target?.addEventListener !== "function") return;
    target.addEventListener(type, handler);
    ends.push(() => target.removeEventListener(type, handler));
  };
  const page = globalThis.document as Document | undefined;
  const self = globalThis as unknown as EventTarget;
  listen(page, "visibilitychange", () => {
    handlers.visible(!page?.hidden);
    handlers.woke();
  });
  listen(page, "resume", handlers.woke);
  listen(self, "pageshow", handlers.woke);
  listen(self, "focus", handlers.woke);
  listen(self, "online", () => handlers.network(true));
  listen(self, "offline", () => handlers.network(false));
  if (page?.hidden) handlers.visible(false);
  return () => {
    for (const end of ends) end();
  };
};
