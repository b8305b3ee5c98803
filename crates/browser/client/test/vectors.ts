//! The golden vectors that all implementations share, read from the crate that owns them.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../protocol/vectors/", import.meta.url));

/** The names of all vector files, without `.json`. */
export const files = (): string[] => readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

/** The cases of one file; never none. */
export const cases = <T extends { name: string }>(file: string): T[] => {
  const { cases } = JSON.parse(readFileSync(`${folder}${file}.json`, "utf8")) as { cases: T[] };
  if (cases.length === 0) throw new Error(`${file}: no cases`);
  return cases;
};
