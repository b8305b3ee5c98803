//! Holds the built page to its budget, as a browser gets it: gzipped, everything that index.html loads.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 60 * 1024;
const dist = new URL("../dist/", import.meta.url);

let all = 0;
for (const file of readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) =>
  entry.isFile(),
)) {
  const bytes = gzipSync(readFileSync(`${file.parentPath}/${file.name}`), { level: 9 }).length;
  all += bytes;
  process.stdout.write(`${String(bytes).padStart(8)}  ${file.name}\n`);
}
process.stdout.write(`${String(all).padStart(8)}  bytes gzipped of ${BUDGET}\n`);
if (all === 0 || all > BUDGET) {
  process.stderr.write(
    all === 0 ? "there is no build; run npm run build first\n" : "the page is over its budget\n",
  );
  process.exit(1);
}
