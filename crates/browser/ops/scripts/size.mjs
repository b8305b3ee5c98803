//! Says what the built page weighs, gzipped, and fails above its budget: `npm run build && npm run size`.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = 150 * 1024;
const dist = fileURLToPath(new URL("../dist", import.meta.url));

if (!existsSync(join(dist, "index.html"))) {
  process.stderr.write("dist/index.html is missing: run `npm run build --workspace ops` first\n");
  process.exit(1);
}

const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
let sum = 0;
for (const { parentPath, name } of files) {
  const path = join(parentPath, name);
  const bytes = gzipSync(readFileSync(path), { level: 9 }).length;
  sum += bytes;
  process.stdout.write(`${String(bytes).padStart(8)} bytes  ${relative(dist, path)}\n`);
}
process.stdout.write(`${String(sum).padStart(8)} bytes  ops in all, gzipped; at most ${BUDGET_BYTES}\n`);
if (sum > BUDGET_BYTES) process.exit(1);
