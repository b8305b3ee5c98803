//! One chart over time: uPlot with the page's colours, its figures in the heading, its cursor shared with all others.

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { NONE, short } from "../format.js";
import { niceTop } from "../model/window.js";
import { paint } from "../theme.js";

export interface Line {
  readonly label: string;
  /** A variable of the style sheet. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** What the heading shows of a value, where it is not what is drawn. */
  readonly told?: readonly (number | null)[];
  readonly isFilled?: boolean;
}

export interface ChartProps {
  readonly title: string;
  /** What one is: events/s, ms, %. It stands beside the title. */
  readonly unit: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number | null) => string;
  /** The top of the axis is never below this; `fixed`: it is this. */
  readonly top: number;
  readonly fixed?: boolean;
  /** Steps of the axis are powers of two: bytes. */
  readonly isBinary?: boolean;
  readonly axis?: (value: number) => string;
  readonly height?: number;
  /** What stands in its place while there is not one point. */
  readonly empty?: string;
}

/** The moment that the pointer is at, in s, in whichever chart; null: in none. */
const pointed = signal<number | null>(null);
const SYNC = "tally-ops";
const AXIS_WIDTH = 46;
const POWERS = Array.from({ length: 50 }, (_, n) => 2 ** n);

const hours = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const Chart = (props: ChartProps) => {
  const { title, unit, times, lines, format, height = 112, empty } = props;
  const at = pointed.value;
  const place = at === null ? -1 : times.indexOf(at);
  const shown = lines.map((line) => {
    const values = line.told ?? line.values;
    return { line, value: place >= 0 ? (values[place] ?? null) : newest(values) };
  });
  const isEmpty = lines.every((line) => line.values.every((value) => value === null));
  const words = shown.map(({ line, value }) => `${line.label} ${format(value)}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">
          {title} <span class="unit">{unit}</span>
        </span>
        <span class="chart-figures">
          {shown.map(({ line, value }) => (
            <span class="chart-figure" key={line.label}>
              <i class={`swatch ${line.colour}`} />
              <span class="chart-label">{line.label}</span> <b>{value === null ? NONE : format(value)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div
        class="chart-plot"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={`${title} in ${unit}: ${words}`}
      >
        <Plot {...props} height={height} />
        {isEmpty && <p class="chart-empty">{empty ?? "nothing yet"}</p>}
      </div>
      <span class="chart-at">{at !== null && place >= 0 ? seconds.format(at * 1000) : ""}</span>
    </figure>
  );
};

const newest = (values: readonly (number | null)[]): number | null => {
  for (let i = values.length - 1; i >= Math.max(0, values.length - 10); i--) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
};

const Plot = (props: ChartProps) => {
  const { times, lines, top, fixed, axis, isBinary = false, height = 112 } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const topNow = useRef(top);
  const colours = lines.map((line) => `${line.colour}:${line.isFilled ?? false}`).join();
  const painted = paint.value;
  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return;
    const options = optionsOf(element, props, axis ?? short, () => topNow.current, height);
    plot.current = new uPlot(options, dataOf(times, lines), element);
    const observer = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [colours, painted, height]);
  useEffect(() => {
    const max = lines.reduce(
      (most, line) => line.values.reduce<number>((a, b) => Math.max(a, b ?? 0), most),
      0,
    );
    topNow.current = fixed ? top : niceTop(max, top, isBinary);
    plot.current?.setData(dataOf(times, lines));
  }, [times, lines, top, fixed, isBinary]);
  return <div class="chart-host" ref={host} />;
};

const dataOf = (times: readonly number[], lines: readonly Line[]): uPlot.AlignedData => [
  times as number[],
  ...lines.map((line) => line.values as (number | null)[]),
];

const optionsOf = (
  element: HTMLElement,
  { title, lines, isBinary }: ChartProps,
  axis: (value: number) => string,
  top: () => number,
  height: number,
): uPlot.Options => {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const ink = { stroke: colour("ink-2"), font: `11px ${style.fontFamily}`, ticks: { show: false } };
  const grid = { stroke: colour("line"), width: 1 };
  return {
    id: title,
    width: element.clientWidth,
    height,
    padding: [6, 14, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC, setSeries: false },
      points: { size: 5, width: 1.5 },
      drag: { x: false, y: false },
      y: false,
    },
    scales: { x: { time: true }, y: { range: () => [0, top()] } },
    axes: [
      {
        ...ink,
        size: 22,
        space: 58,
        grid: { show: false },
        values: (_, splits) => splits.map((at) => hours.format(at * 1000)),
        // The most that fits, at whole minutes.
        incrs: [60, 120, 300, 600, 900, 1800, 3600, 7200],
      },
      {
        ...ink,
        size: AXIS_WIDTH,
        space: 28,
        grid,
        values: (_, splits) => splits.map(axis),
        ...(isBinary ? { incrs: POWERS } : {}),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: line.isFilled ? 0 : 1.5,
        ...(line.isFilled ? { fill: colour(line.colour) } : {}),
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      setCursor: [
        (u) => {
          const { idx, left } = u.cursor;
          pointed.value =
            idx === null || idx === undefined || (left ?? -1) < 0 ? null : (u.data[0][idx] ?? null);
        },
      ],
    },
  };
};
