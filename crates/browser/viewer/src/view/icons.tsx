//! Small drawings. Each stands beside a word that says the same.

import type { Rung } from "tally-client";

const Svg = ({ children, size = 16 }: { children: preact.ComponentChildren; size?: number }) => (
  <svg class="icon" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true">
    {children}
  </svg>
);

/** Four strokes and a fifth across: a tally. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
    <path d="M5 4v16M9.5 4v16M14 4v16M18.5 4v16" />
    <path class="across" d="M2 17.5 21.5 6.5" />
  </svg>
);

export const Check = () => (
  <Svg>
    <path d="m3.5 8.5 3 3 6-7" />
  </Svg>
);

export const Cross = () => (
  <Svg>
    <path d="m4.5 4.5 7 7m0-7-7 7" />
  </Svg>
);

export const Running = () => (
  <Svg>
    <circle class="track" cx="8" cy="8" r="5.5" />
    <path class="turn" d="M8 2.5A5.5 5.5 0 0 1 13.5 8" />
  </Svg>
);

export const Down = () => (
  <Svg>
    <path d="M8 3v9m-4-4 4 4 4-4" />
  </Svg>
);

export const Back = () => (
  <Svg>
    <path d="M10 3 5 8l5 5" />
  </Svg>
);

export const Alert = () => (
  <Svg>
    <path d="M8 2.5 14.5 13.5h-13zM8 6.5v3.5m0 1.5v.5" />
  </Svg>
);

/** Full, half and empty circles, from the most detail to the least. */
export const RungIcon = ({ rung }: { rung: Rung }) => (
  <Svg size={14}>
    <circle cx="8" cy="8" r="6" />
    {rung === "full" ? <circle class="fill" cx="8" cy="8" r="6" /> : null}
    {rung === "counts" ? <path class="fill" d="M8 2a6 6 0 0 1 0 12z" /> : null}
  </Svg>
);
