//! The order of a table's rows: by a column, and held still while somebody points at a row.

export type Direction = "asc" | "desc";

/** By one value; nulls last in both directions; equal ones keep their order. */
export const sorted = <T>(
  rows: readonly T[],
  value: (row: T) => number | string | null,
  direction: Direction,
): T[] => {
  const sign = direction === "asc" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return 0;
    if (x === null) return 1;
    if (y === null) return -1;
    return x < y ? -sign : sign;
  });
};

/** The rows in the order of the keys held; new ones after them; those that are gone fall out. */
export const inOrder = <T>(rows: readonly T[], key: (row: T) => string, held: readonly string[]): T[] => {
  const byKey = new Map(rows.map((row) => [key(row), row]));
  const before = held.map((one) => byKey.get(one)).filter((row) => row !== undefined);
  const known = new Set(held);
  return [...before, ...rows.filter((row) => !known.has(key(row)))];
};
