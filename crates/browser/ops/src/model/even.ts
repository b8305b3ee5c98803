//! How evenly load is spread: the most loaded against the mean.

export interface Evenness {
  readonly n: number;
  readonly mean: number;
  readonly max: number;
  /** max / mean; 1 is perfectly even; null where there is too little to say. */
  readonly ratio: number | null;
}

export type EvenWord = "even" | "uneven" | "very uneven" | "too little to say";

/** `least`: a mean below it says nothing (three connections on two shards are not uneven). */
export const evenness = (values: readonly number[], least: number): Evenness => {
  const n = values.length;
  const mean = n === 0 ? 0 : values.reduce((a, b) => a + b, 0) / n;
  const max = values.reduce((a, b) => Math.max(a, b), 0);
  return { n, mean, max, ratio: n < 2 || mean < least || mean <= 0 ? null : max / mean };
};

export const evenWord = ({ ratio }: Evenness): EvenWord => {
  if (ratio === null) return "too little to say";
  if (ratio <= 1.25) return "even";
  return ratio <= 2 ? "uneven" : "very uneven";
};
