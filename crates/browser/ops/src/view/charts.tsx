//! The charts of the fleet, or of one gateway: the same lines, one cursor.

import { useMemo } from "preact/hooks";
import { bytes, core, latency, millis, percent, rate, short, shortBytes } from "../format.js";
import { lines, shares, windowTo } from "../model/window.js";
import type { Page } from "../page.js";
import { RANGES } from "../route.js";
import { Chart } from "./chart.js";

export const Charts = ({ page, gateway }: { page: Page; gateway: string | null }) => {
  const { range } = page.route.value;
  const gateways = page.gateways.value;
  const now = page.now.value;
  const drawn = useMemo(() => {
    const { stretch, times } = windowTo(range, now);
    const placed = page.series(gateway);
    const [eventsIn, deliveries, outBytes, p50, p99, probe, cpu, rss] = lines(
      placed,
      ["events_in", "deliveries", "out_bytes", "p50", "p99", "probe_ms", "cpu", "rss"],
      stretch,
    );
    const [full, counts, summary] = lines(placed, ["rung_full", "rung_counts", "rung_summary"], stretch);
    const n = { full: full ?? [], counts: counts ?? [], summary: summary ?? [] };
    return {
      times,
      eventsIn,
      deliveries,
      outBytes,
      p50,
      p99,
      probe,
      cpu,
      rss,
      share: shares(placed, stretch),
      n,
    };
  }, [gateways, range, now, gateway]);
  const { times, share, n } = drawn;
  const state = page.histories.value.get(RANGES[range].step) ?? "absent";
  const whose = gateway === null ? "slowest gateway" : "this gateway";
  const told = (values: readonly (number | null)[], i: number) => {
    const all = (n.full[i] ?? 0) + (n.counts[i] ?? 0) + (n.summary[i] ?? 0);
    return all === 0 ? null : (values[i] ?? 0) / all;
  };
  return (
    <section class="charts-section" aria-label={`Charts, ${RANGES[range].words}`}>
      <div class={gateway === null ? "charts panel" : "charts"}>
        <Chart
          title="Events in"
          unit={gateway === null ? "events/s, summed over gateways" : "events/s"}
          times={times}
          lines={[{ label: "in", colour: "accent", values: drawn.eventsIn ?? [] }]}
          format={(value) => rate(value)}
          top={10}
        />
        <Chart
          title="Deliveries"
          unit="frames/s to sockets"
          times={times}
          lines={[{ label: "out", colour: "accent", values: drawn.deliveries ?? [] }]}
          format={(value) => rate(value)}
          top={10}
        />
        <Chart
          title="Connections by rung"
          unit="share, %"
          times={times}
          lines={[
            {
              label: "full",
              colour: "rung-full",
              values: share.full,
              told: n.full.map((_, i) => told(n.full, i)),
              isFilled: true,
            },
            {
              label: "counts",
              colour: "rung-counts",
              values: share.counts,
              told: n.full.map((_, i) => told(n.counts, i)),
              isFilled: true,
            },
            {
              label: "summary",
              colour: "rung-summary",
              values: share.summary,
              told: n.full.map((_, i) => told(n.summary, i)),
              isFilled: true,
            },
          ]}
          format={(value) => percent(value)}
          top={100}
          fixed
          empty="no connections"
        />
        <Chart
          title="Publish to socket"
          unit={`ms, ${whose}`}
          times={times}
          lines={[
            { label: "p50", colour: "accent", values: drawn.p50 ?? [] },
            { label: "p99", colour: "second", values: drawn.p99 ?? [] },
          ]}
          format={latency}
          axis={short}
          top={1}
          empty="no deliveries in full"
        />
        <Chart
          title="Redis probe"
          unit={`ms, ${whose}`}
          times={times}
          lines={[{ label: "probe", colour: "accent", values: drawn.probe ?? [] }]}
          format={millis}
          top={1}
          empty="no Redis, or no probe yet"
        />
        <Chart
          title="Out"
          unit="bytes/s to sockets"
          times={times}
          lines={[{ label: "out", colour: "accent", values: drawn.outBytes ?? [] }]}
          format={(value) => bytes(value, "/s")}
          axis={shortBytes}
          isBinary
          top={1024}
        />
        {gateway !== null && (
          <>
            <Chart
              title="CPU"
              unit="% of one core"
              times={times}
              lines={[{ label: "cpu", colour: "accent", values: drawn.cpu ?? [] }]}
              format={core}
              top={10}
            />
            <Chart
              title="Memory"
              unit="resident"
              times={times}
              lines={[{ label: "rss", colour: "accent", values: drawn.rss ?? [] }]}
              format={(value) => bytes(value)}
              axis={shortBytes}
              isBinary
              top={16 * 1024 * 1024}
            />
          </>
        )}
      </div>
      <p class="charts-note">
        {state === "loading" && "loading what the gateways remember…"}
        {typeof state === "object" &&
          `what was before could not be loaded: ${state.failed}; the charts fill from now on`}
        {(state === "loaded" || state === "absent") &&
          `${RANGES[range].words} in steps of ${RANGES[range].step} s; per step means, p99 and probe their highest`}
      </p>
    </section>
  );
};
