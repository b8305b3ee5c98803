//! Reads JSON of which nothing is known: what has another type than expected becomes the default.

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const object = (value: unknown): Json => (isObject(value) ? value : {});
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);
export const number = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;
export const numberOrNull = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

/** Numbers by name; a Map, since a name may be anything. */
export const numbers = (value: unknown): ReadonlyMap<string, number> =>
  new Map(Object.entries(object(value)).map(([name, n]) => [name, number(n)]));

/** Each of them as read, without those that could not be. */
export const each = <T>(value: unknown, max: number, read: (one: unknown) => T | null): T[] =>
  list(value)
    .slice(0, max)
    .map(read)
    .filter((one) => one !== null);
