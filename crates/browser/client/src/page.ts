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
  const page = globalThis.document as Document | undefined;
  const look = ({ type }: { readonly type: string }): void => {
    if (type === "online" || type === "offline") return handlers.network(type === "online");
    if (type === "visibilitychange") handlers.visible(!page?.hidden);
    handlers.woke();
  };
  const each = (act: "addEventListener" | "removeEventListener"): void => {
    for (const type of ["visibilitychange", "resume"]) page?.[act](type, look);
    for (const type of ["pageshow", "focus", "online", "offline"]) globalThis[act]?.(type, look);
  };
  each("addEventListener");
  if (page?.hidden) handlers.visible(false);
  return () => each("removeEventListener");
};
