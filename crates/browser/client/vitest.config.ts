//! How the tests run: in Node; the page's parts are given to those that need them.

import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 30_000 } });
