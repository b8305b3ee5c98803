//! Refuses a frame in which a key stands twice. `JSON.parse` would keep the last one and say nothing.

/**
 * Walks the text once. Inside the value of `open` keys may repeat: there it is the producer's. The text must be JSON.
 * One step per token, nothing is kept but the keys of the objects that are open.
 */
export const repeatedKey = (text: string, open: string): string | null => {
  const stack: (Set<string> | null)[] = [];
  let isOpen = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      const start = i;
      i = endOfString(text, i);
      const top = stack[stack.length - 1];
      isOpen = false;
      if (top && isKey(text, i)) {
        const key: string = JSON.parse(text.slice(start, i + 1));
        if (top.has(key)) return key;
        top.add(key);
        isOpen = key === open;
      }
    } else if (c === 0x7b || c === 0x5b) {
      const end = isOpen ? endOfValue(text, i) : 0;
      if (end) i = end;
      else stack.push(c === 0x7b ? new Set() : null);
      isOpen = false;
    } else if (c === 0x7d || c === 0x5d) {
      stack.pop();
    }
  }
  return null;
};

/** Where the string that begins at `i` ends: at the first quote with an even number of backslashes before it. */
const endOfString = (text: string, i: number): number => {
  for (;;) {
    i = text.indexOf('"', i + 1);
    let before = i;
    while (text.charCodeAt(before - 1) === 0x5c) before--;
    if ((i - before) % 2 === 0) return i;
  }
};

const isKey = (text: string, i: number): boolean => {
  let c: number;
  do c = text.charCodeAt(++i);
  while (c === 0x20 || (c >= 9 && c <= 13));
  return c === 0x3a;
};

const endOfValue = (text: string, i: number): number => {
  for (let depth = 0; ; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = endOfString(text, i);
    else if (c === 0x7b || c === 0x5b) depth++;
    else if ((c === 0x7d || c === 0x5d) && --depth === 0) return i;
  }
};
