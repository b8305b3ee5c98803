//! Numbers, times and reasons as words for people. Pure.

import type { Rung, Totals, Why } from "tally-client";
import { SPAN_KINDS_MAX, TEXT_MAX } from "../limits";

const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const number = (n: number): string => NUMBER.format(n);

export const sum = (totals: Totals): number => {
  let all = 0;
  for (const n of totals.values()) all += n;
  return all;
};

export const events = (n: number): string => `${number(n)} ${n === 1 ? "event" : "events"}`;

export const rate = (perSecond: number): string =>
  perSecond > 0 && perSecond < 9.95 ? perSecond.toFixed(1) : number(Math.round(perSecond));

export const clock = (at: number): string => (at > 0 ? TIME.format(at) : "");

export const duration = (ms: number): string => {
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
};

/** Kinds with most events first. */
export const byCount = (totals: Totals): [string, number][] =>
  [...totals].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));

const kindsOf = (counts: Totals): string => {
  const sorted = byCount(counts);
  const named = sorted.slice(0, SPAN_KINDS_MAX).map(([kind, n]) => `${number(n)} ${kind}`);
  const rest = sorted.slice(SPAN_KINDS_MAX);
  if (rest.length > 0)
    named.push(`${number(rest.reduce((n, [, m]) => n + m, 0))} of ${rest.length} more kinds`);
  return named.join(", ");
};

/** Why a span was not seen in full; `hidden`: nobody saw the tab. */
export type Reason = Why | "hidden" | "busy";

const WHILE: Record<Reason, string> = {
  asked: "as this page asked",
  throttled: "while throttled",
  backpressure: "while the connection was slow",
  unheard: "while nobody listened",
  upstream: "while the broker was away",
  replay: "on coming back",
  hidden: "while this tab was hidden",
  busy: "while this page was busy",
};

/** "1,204 events counted while throttled: 1,180 ok, 24 changed" */
export const span = (form: "counted" | "summarised" | "skipped", counts: Totals, reason: Reason): string => {
  const what = form === "skipped" ? "not shown" : form;
  return `${events(sum(counts))} ${what} ${WHILE[reason]}: ${kindsOf(counts)}`;
};

export const RUNG_NAMES: Record<Rung, string> = { full: "Full", counts: "Counts", summary: "Summary" };

const BECAUSE: Record<Reason, (maxRate: number | null) => string> = {
  asked: () => "this page asked for it",
  throttled: (maxRate) =>
    maxRate ? `more than the ${number(maxRate)} events/s granted` : "more than the rate granted",
  backpressure: () => "this connection is slow",
  unheard: () => "nobody listened before",
  upstream: () => "the broker was away",
  replay: () => "older than what is sent again",
  hidden: () => "this tab was hidden",
  busy: () => "this page is busy",
};

/** What a rung means for the reader, and why it is this one. */
export const rungWords = (rung: Rung, reason: Reason | null, maxRate: number | null): string => {
  if (rung === "full") return "every event is shown";
  const what = rung === "counts" ? "exact counts" : "a summary every few seconds";
  return reason ? `${what}: ${BECAUSE[reason](maxRate)}` : what;
};

/** What changes for the reader at this row. */
export const rungNote = (rung: Rung, reason: Reason | null, maxRate: number | null): string => {
  if (rung === "full") return "Every event is shown again";
  const what = rung === "counts" ? "Counted, not shown, from here" : "Summarised from here";
  return reason ? `${what}: ${BECAUSE[reason](maxRate)}` : what;
};

/** The same, as short as a badge. */
export const reasonWord = (reason: Reason): string =>
  reason === "backpressure" ? "slow connection" : reason;

/** How a kind reads: only a hint, the word itself is always there. */
export type Tone = "good" | "warn" | "bad" | "plain";

export const toneOf = (kind: string): Tone => {
  if (/fail|error|stderr|unreachable|fatal|panic|denied/i.test(kind)) return "bad";
  if (/chang|warn|skip|retr|deprecat/i.test(kind)) return "warn";
  if (/^ok$|success|passed|done/i.test(kind)) return "good";
  return "plain";
};

/** Escape sequences of terminals, then control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-_]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
const CONTROLS = /[\u0000-\u001f\u007f\u2028\u2029]/g;

const clean = (text: string): string =>
  text.replace(ESCAPES, "").replace(CONTROLS, (c) => (c === "\t" ? "  " : c === "\r" ? "" : "␤"));

/** A copy of its own: a part of a long text would keep the whole of it in memory. */
const cut = (text: string): string => {
  if (text.length <= TEXT_MAX) return text;
  return ` ${text.slice(0, TEXT_MAX)}`
    .slice(1)
    .concat(` … ${number(text.length - TEXT_MAX)} characters more`);
};

const isScalar = (value: unknown): boolean => value === null || typeof value !== "object";

/** The data of an event as one line. Objects without depth read as `key=value`. */
export const brief = (data: unknown, kind = ""): string => {
  if (data === null || data === undefined) return "";
  if (typeof data === "string") return cut(clean(data));
  if (typeof data !== "object") return String(data);
  if (Array.isArray(data) || !Object.values(data).every(isScalar))
    return cut(clean(commandLine(data) ?? JSON.stringify(data)));
  const { text } = data as { text?: unknown };
  if (typeof text === "string") return cut(clean(text));
  const pairs = Object.entries(data).filter(([, value]) => value !== kind);
  return cut(
    clean(
      pairs
        .map(
          ([key, value]) =>
            `${key}=${typeof value === "string" && /\s/.test(value) ? JSON.stringify(value) : value}`,
        )
        .join(" "),
    ),
  );
};

/** Data of `run_started` and `run_finished`. */
export interface Run {
  readonly command: readonly string[];
  readonly channel?: string;
  readonly host?: string;
  readonly pid?: number | null;
  readonly exit_code?: number;
  readonly signal?: string;
  readonly error?: string;
  readonly duration_ms?: number;
}

export const asRun = (data: unknown): Run | null => {
  const run = data as Partial<Run> | null;
  const isRun = typeof run === "object" && run !== null && Array.isArray(run.command);
  return isRun && run.command?.every((word) => typeof word === "string") ? (run as Run) : null;
};

/** `sh -c` is how it was started; what it was started for is the script. */
export const commandOf = ({ command }: Run): string => {
  const [shell, flag, script] = command;
  const isScript = /(^|\/)(ba|da|z)?sh$/.test(shell ?? "") && flag === "-c" && script !== undefined;
  const words = (isScript ? script : command.join(" ")).slice(0, 2 * TEXT_MAX).replace(/\s+/g, " ");
  return cut(clean(words).trim());
};

/** "exit 2 after 61 s" */
export const endOf = ({ exit_code, signal, error, duration_ms }: Run): string => {
  if (error) return clean(error).slice(0, TEXT_MAX);
  const how = signal ? `ended by ${signal}` : `exit ${exit_code ?? "?"}`;
  return duration_ms === undefined ? how : `${how} after ${duration(duration_ms)}`;
};

const commandLine = (data: object): string | null => {
  const run = asRun(data);
  if (!run) return null;
  return run.exit_code === undefined ? commandOf(run) : `${endOf(run)} · ${commandOf(run)}`;
};
