//! axe-core in a page: what it finds that is serious, as lines.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary?: string }[];
}

/** Places named per finding. */
const NODES_MAX = 3;

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Serious and critical findings; none is what a test expects. */
export const seriousFindings = async (page: Page): Promise<string[]> => {
  // Not as a script of the page: its policy forbids that.
  await page.evaluate(source);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } }).axe.run(),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .slice(0, NODES_MAX)
          .map((node) => `${node.target} ${node.failureSummary}`)
          .join("; ")}`,
    );
};
