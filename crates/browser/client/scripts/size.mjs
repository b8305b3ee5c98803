//! The size of the package as a page gets it: bundled, minified, gzipped. Fails above the budget.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bytes, of everything that the entry `tally-client` exports. `tally-client/react` and `/stale` are entries of their own. */
export const BUDGET = 10_240;

export const measure = async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    // What is published has no comments, see `build` in package.json; here `//!` would count as legal ones.
    legalComments: "none",
    write: false,
  });
  const [{ contents }] = outputFiles;
  return { minified: contents.length, gzipped: gzipSync(contents, { level: 9 }).length };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { minified, gzipped } = await measure();
  process.stdout.write(`tally-client: ${minified} bytes minified, ${gzipped} gzipped, budget ${BUDGET}\n`);
  if (gzipped > BUDGET) process.exitCode = 1;
}
