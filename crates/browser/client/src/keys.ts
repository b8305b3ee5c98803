//! Refuses a frame in which a key stands twice. `JSON.parse` would keep the last one and say nothing.

/** A string, and whether it is a key; or a bracket. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")\s*(:?)|[[\]{}]/gs;

/**
 * Walks the text once. Inside the value of `open` keys may repeat: there it is the producer's. The text must be JSON.
 * One step per token; nothing is kept but the keys of the objects that are open.
 */
export const repeatedKey = (text: string, open: string): string | null => {
  const stack: Set<string>[] = [];
  /** How deep in the value of `open`. */
  let inside = 0;
  let isNext = false;
  for (const [token, quoted, colon] of text.matchAll(TOKEN)) {
    const isIn = token === "{" || token === "[";
    if (inside) {
      if (!quoted) inside += isIn ? 1 : -1;
    } else if (colon) {
      const key: string = JSON.parse(quoted as string);
      const keys = stack.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
      isNext = key === open;
      continue;
    } else if (isIn && isNext) inside = 1;
    else if (isIn) stack.push(new Set());
    else if (!quoted) stack.pop();
    // A value that is neither object nor array has no token of its own, or is a string: the next one is not inside.
    isNext = false;
  }
  return null;
};
