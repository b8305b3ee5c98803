//! The package stays as small as it is.

import { expect, it } from "vitest";
import { BUDGET, measure } from "../scripts/size.mjs";

it("is within its budget", async () => {
  const { gzipped } = await measure();
  expect(gzipped).toBeLessThanOrEqual(BUDGET);
});
