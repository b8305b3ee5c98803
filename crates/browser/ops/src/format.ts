//! How figures read: a unit with each, thousands separators, no more digits than say something.

const LOCALE = "en-US";
/** A narrow space that does not break: between a figure and its unit. */
const GAP = "\u202f";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** What stands where there is no figure. */
export const NONE = "–";

export const count = (n: number | null): string => (n === null ? NONE : whole.format(n));

/** Three digits: 0.42, 4.2, 42, 4,200. */
export const figure = (n: number): string => {
  const size = Math.abs(n);
  if (size >= 99.95 || n === 0) return whole.format(n);
  return size >= 9.995 ? one.format(n) : two.format(n);
};

/** Shorter still, for axes: 12k, 3.4M. */
export const short = (n: number): string => {
  const size = Math.abs(n);
  if (size >= 1e9) return `${trim(n / 1e9)}G`;
  if (size >= 1e6) return `${trim(n / 1e6)}M`;
  if (size >= 1e4) return `${trim(n / 1e3)}k`;
  return trim(n);
};

const trim = (n: number): string => String(Math.round(n * 100) / 100);

export const rate = (n: number | null, unit = "/s"): string =>
  n === null ? NONE : `${n < 10 && !Number.isInteger(n) ? one.format(n) : whole.format(n)}${GAP}${unit}`;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const bytes = (n: number | null, per = ""): string => {
  if (n === null) return NONE;
  let [size, unit] = [n, 0];
  while (Math.abs(size) >= 1024 && unit < UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  const digits = unit === 0 ? whole.format(size) : size >= 99.95 ? whole.format(size) : one.format(size);
  return `${digits}${GAP}${UNITS[unit]}${per}`;
};

/** For axes: 512k, 4M. */
export const shortBytes = (n: number): string => {
  const unit = Math.min(UNITS.length - 1, n < 1024 ? 0 : Math.floor(Math.log2(n) / 10));
  return `${trim(n / 1024 ** unit)}${["", "Ki", "Mi", "Gi", "Ti"][unit]}`;
};

/** Milliseconds as they read best: 0.42 ms, 42 ms, 4.2 s, 3 min 12 s. */
export const millis = (n: number | null): string => {
  if (n === null) return NONE;
  if (n < 1000) return `${n === 0 ? "0" : n < 10 ? two.format(n) : whole.format(n)}${GAP}ms`;
  return n < 60_000 ? `${one.format(n / 1000)}${GAP}s` : span(n / 1000);
};

/** Milliseconds that were measured in whole ones. */
export const latency = (n: number | null): string =>
  n === 0 ? `<1${GAP}ms` : n !== null && n < 10 ? `${whole.format(n)}${GAP}ms` : millis(n);

/** A time that passed, in its two largest units. */
export const span = (seconds: number): string => {
  const s = Math.max(0, Math.floor(seconds));
  const [d, h, m] = [Math.floor(s / 86_400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d > 0) return h > 0 ? `${d}${GAP}d ${h}${GAP}h` : `${d}${GAP}d`;
  if (h > 0) return m > 0 ? `${h}${GAP}h ${m}${GAP}min` : `${h}${GAP}h`;
  if (m > 0) return s % 60 > 0 ? `${m}${GAP}min ${s % 60}${GAP}s` : `${m}${GAP}min`;
  return `${s}${GAP}s`;
};

export const ago = (seconds: number): string => (seconds < 2 ? "just now" : `${span(seconds)} ago`);

/** Percent of one core. */
export const core = (n: number | null): string => (n === null ? NONE : `${one.format(n)}${GAP}%`);

export const percent = (share: number | null): string => {
  if (share === null) return NONE;
  const n = share * 100;
  const isWhole = n === 0 || n === 100;
  const digits = isWhole ? whole.format(n) : n < 0.1 ? "<0.1" : n > 99.9 && n < 100 ? ">99.9" : one.format(n);
  return `${digits}${GAP}%`;
};

export const ratio = (n: number | null): string => (n === null ? NONE : `${two.format(n)}${GAP}×`);

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day, by the page's clock. */
export const time = (ms: number): string => clock.format(ms);

export const plural = (n: number, word: string, words = `${word}s`): string =>
  `${whole.format(n)} ${n === 1 ? word : words}`;
