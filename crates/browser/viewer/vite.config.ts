//! How the viewer is built and tested: one page, hashed assets beside it, tally-client from its sources.
//!
//! `TALLY_GATEWAY=http://127.0.0.1:8420 npm run dev --workspace tally-viewer` shows it before any gateway.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = fileURLToPath(new URL("../client/src/index.ts", import.meta.url));
const gateway = process.env.TALLY_GATEWAY ?? "http://127.0.0.1:8420";

export default defineConfig({
  // Relative, so that a proxy may serve the page below any path.
  base: "./",
  resolve: { alias: { "tally-client": client } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/v1": { target: gateway, ws: true, changeOrigin: true, rewriteWsOrigin: true } } },
  test: { include: ["test/**/*.test.ts"] },
});
