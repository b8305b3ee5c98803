//! Light or dark: as the system says, or as was chosen here, which the browser remembers.

import { signal } from "@preact/signals";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "tally-ops-theme";

const stored = (): Theme => {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system";
  }
};

export const theme = signal<Theme>("system");
/** Rises whenever colours change, so that what is drawn on a canvas is drawn anew. */
export const paint = signal(0);

export const applyTheme = (): void => {
  theme.value = stored();
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint.value += 1;
  });
};

export const setTheme = (to: Theme): void => {
  theme.value = to;
  try {
    localStorage.setItem(KEY, to);
  } catch {
    // Private windows may refuse; then it holds until the page is closed.
  }
  show();
};

const show = (): void => {
  const { dataset } = document.documentElement;
  if (theme.value === "system") delete dataset.theme;
  else dataset.theme = theme.value;
  paint.value += 1;
};
