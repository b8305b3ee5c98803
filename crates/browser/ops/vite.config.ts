//! How the dashboard is built and tested: one page under /ops, hashed assets beside it, tally-client from its sources.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = fileURLToPath(new URL("../client/src/index.ts", import.meta.url));

export default defineConfig({
  base: "/ops/",
  resolve: { alias: { "tally-client": client } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // Files of their own, also small ones: the page's policy allows no data: addresses in styles and scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ["test/**/*.test.ts"] },
});
