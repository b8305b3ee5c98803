//! The size of the package as a page gets it: bundled, minified, gzipped. Fails above the budget.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bytes, of everything that `tally-client` exports. It may shrink towards GOAL, not grow. */
export const BUDGET = 14_080;
/** What a page should pay at most. */
export const GOAL = 10_240;

export const measure = async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const [{ contents }] = outputFiles;
  return { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { minified, gzipped } = await measure();
  process.stdout.write(
    `tally-client: ${minified} bytes minified, ${gzipped} gzipped, budget ${BUDGET}, goal ${GOAL}\n`,
  );
  if (gzipped > BUDGET) process.exitCode = 1;
}
