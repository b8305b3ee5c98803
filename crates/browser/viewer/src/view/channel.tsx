//! One channel: what it is, what the reader gets of it and why, its kinds, its log, its account.

import type { Rung } from "tally-client";
import type { App } from "../model/app";
import { beat } from "../model/beat";
import type { Channel } from "../model/channel";
import {
  asRun,
  commandOf,
  endOf,
  events,
  number,
  RUNG_NAMES,
  rate,
  reasonWord,
  rungWords,
} from "../model/words";
import { AccountBar } from "./account";
import { Back, Check, Cross, RungIcon, Running } from "./icons";
import { JobTime } from "./jobs";
import { LogView } from "./log";
import { Spark } from "./spark";
import { Tallies } from "./tallies";

const RUNGS: readonly Rung[] = ["full", "counts", "summary"];

export const ChannelView = ({ app, channel }: { app: App; channel: Channel }) => {
  beat.value;
  return (
    <section class="channel" aria-label={`Channel ${channel.name}`}>
      <Head app={app} channel={channel} />
      <Detail channel={channel} />
      <Tallies totals={channel.subscription.totals} />
      <LogView channel={channel} />
      <AccountBar channel={channel} />
    </section>
  );
};

const Head = ({ app, channel }: { app: App; channel: Channel }) => {
  beat.value;
  const { name, subscription } = channel;
  const job = app.jobs.find(name);
  const run = asRun(subscription.state?.data);
  const command = job?.command ?? (run ? commandOf(run) : "");
  return (
    <header class="head">
      <button type="button" class="back" aria-label="Back to the jobs" onClick={() => app.open(null)}>
        <Back />
      </button>
      <div class="title">
        <h2>{name}</h2>
        <State app={app} channel={channel} />
        {command ? <code title={command}>{command}</code> : null}
      </div>
      <Pace channel={channel} />
    </header>
  );
};

const State = ({ app, channel }: { app: App; channel: Channel }) => {
  beat.value;
  const job = app.jobs.find(channel.name);
  const run = asRun(channel.subscription.state?.data);
  const time = job ? <JobTime job={job} /> : null;
  if (run?.exit_code !== undefined || job?.end) {
    const isGood = job?.end ? job.end.isGood : run?.exit_code === 0;
    const words = job?.end ? job.end.words : run ? endOf(run) : "";
    return (
      <span class={`state ${isGood ? "good" : "bad"}`}>
        {isGood ? <Check /> : <Cross />}
        {isGood ? "ended well, " : "failed, "}
        {words}
      </span>
    );
  }
  if (!run && !job) return null;
  return (
    <span class="state live">
      <Running />
      running {time}
    </span>
  );
};

const Pace = ({ channel: { subscription, samples } }: { channel: Channel }) => {
  beat.value;
  return (
    <dl class="pace">
      <div>
        <dd>{number(subscription.cursor)}</dd>
        <dt>{subscription.cursor === 1 ? "event" : "events"}</dt>
      </div>
      <div>
        <dd>{rate(samples.rate)}</dd>
        <dt>per second</dt>
      </div>
      <Spark values={samples.values} width={120} height={36} />
    </dl>
  );
};

/** The rung with its reason, and the choice of what the reader wants. */
const Detail = ({ channel }: { channel: Channel }) => {
  beat.value;
  const { subscription, reason, wanted, isLoading } = channel;
  const { rung } = subscription;
  const shortReason = rung !== "full" && reason ? ` · ${reasonWord(reason)}` : "";
  return (
    <div class="detail">
      <p class={`rung ${rung}`} role="status" data-rung={rung}>
        <span class="badge">
          <RungIcon rung={rung} />
          {isLoading ? "Attaching" : `${RUNG_NAMES[rung]}${shortReason}`}
        </span>
        <span class="because">
          {isLoading ? "waiting for the gateway" : rungWords(rung, reason, subscription.maxRate)}
        </span>
      </p>
      <fieldset>
        <legend>Show at most</legend>
        {RUNGS.map((one) => (
          <label key={one}>
            <input type="radio" name="rung" checked={wanted === one} onChange={() => channel.want(one)} />
            <span>{RUNG_NAMES[one]}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
};

export const emptyWords = (channel: Channel): string => {
  if (channel.refusal) return channel.refusal;
  if (channel.isLoading) return "Attaching …";
  const { cursor } = channel.subscription;
  return cursor === 0
    ? "No events yet. They appear here when they come."
    : `${events(cursor)} so far, before you came. New ones appear here.`;
};
