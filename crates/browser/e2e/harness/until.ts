//! Waiting for a condition of another process: asked again and again, with an end that says what was awaited.

/** Generous: only a test that hangs reaches it. */
export const LONG_MS = 60_000;
const ASK_AGAIN_MS = 20;

/** What ends a wait at once: it cannot come any more. */
export class Hopeless extends Error {}

/** The first value that `look` gives; null and undefined mean not yet. Fails with `what` and what was seen last. */
export const until = async <T>(
  what: string,
  look: () => T | Promise<T>,
  ms = LONG_MS,
): Promise<NonNullable<T>> => {
  const end = performance.now() + ms;
  let failure: unknown = null;
  do {
    try {
      const value = await look();
      if (value !== null && value !== undefined && value !== false) return value;
      failure = value;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      failure = error;
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  } while (performance.now() < end);
  throw new Error(`waited ${ms} ms in vain for ${what}; last: ${String(failure)}`);
};
