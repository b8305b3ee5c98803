//! End-to-end tests one after the other: they share two cores with the browser.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    fileParallelism: false,
    retry: 0,
    // Only a test that hangs reaches these.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
