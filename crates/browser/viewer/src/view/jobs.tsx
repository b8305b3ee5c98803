//! The list of jobs: state, live count and rate of each; and the field that opens any channel.

import { useRef, useState } from "preact/hooks";
import { isChannel } from "tally-client";
import type { App } from "../model/app";
import { beat, second } from "../model/beat";
import type { Job } from "../model/jobs";
import type { Samples } from "../model/samples";
import { duration, events, number, rate } from "../model/words";
import { Check, Cross, Running } from "./icons";
import { Spark } from "./spark";

export const JobList = ({ app }: { app: App }) => {
  beat.value;
  const [filter, setFilter] = useState("");
  const { jobs, more } = app.jobs.listed();
  const shown = jobs.filter((job) =>
    `${job.channel} ${job.command}`.toLowerCase().includes(filter.toLowerCase()),
  );
  const running = shown.filter((job) => !job.end);
  const ended = shown.filter((job) => job.end);
  return (
    <nav class="jobs" aria-label="Jobs">
      <Finder app={app} filter={filter} setFilter={setFilter} />
      <div class="job-scroll">
        {jobs.length === 0 ? <NoJobs app={app} /> : null}
        {running.length > 0 ? <h2>{number(running.length)} running</h2> : null}
        {running.map((job) => (
          <JobRow key={job.channel} app={app} job={job} />
        ))}
        {ended.length > 0 ? <h2>Ended</h2> : null}
        {ended.map((job) => (
          <JobRow key={job.channel} app={app} job={job} />
        ))}
        {jobs.length > 0 && shown.length === 0 ? (
          <p class="soft pad">No job has “{filter}” in its name or command.</p>
        ) : null}
        {more > 0 ? <p class="soft pad">{number(more)} more are not listed; open them by name.</p> : null}
      </div>
    </nav>
  );
};

const Finder = ({
  app,
  filter,
  setFilter,
}: {
  app: App;
  filter: string;
  setFilter: (text: string) => void;
}) => {
  const field = useRef<HTMLInputElement>(null);
  const text = filter.trim();
  const submit = (event: Event): void => {
    event.preventDefault();
    if (text === "") return;
    if (!isChannel(text)) return app.say("A channel is 1 to 200 of A-Z a-z 0-9 . _ : @ ~ = + , -");
    setFilter("");
    field.current?.blur();
    app.open(text);
  };
  return (
    <form class="finder" onSubmit={submit}>
      <input
        ref={field}
        id="finder"
        type="search"
        placeholder="Filter, or open a channel"
        aria-label="Filter jobs, or open a channel by its name"
        maxLength={200}
        autocomplete="off"
        spellcheck={false}
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
      {isChannel(text) ? <button type="submit">Open</button> : <kbd title="The key / comes here">/</kbd>}
    </form>
  );
};

const JobRow = ({ app, job }: { app: App; job: Job }) => {
  beat.value;
  const { channel, command, end } = job;
  const { value: shown } = app.shown;
  const held = shown?.name === channel ? shown : app.listed.get(channel);
  const total = held?.subscription.cursor ?? 0;
  const isCurrent = app.route.value === channel;
  const follow = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    app.open(channel);
  };
  return (
    <a
      class="job"
      href={`?channel=${encodeURIComponent(channel)}`}
      aria-current={isCurrent ? "page" : undefined}
      onClick={follow}
    >
      <JobIcon job={job} />
      <span class="job-name">{channel}</span>
      {end ? <span class="job-rate soft">{events(total)}</span> : <JobRate held={held} />}
      <span class="job-command">{command}</span>
      <span class="job-total">{end ? end.words : events(total)}</span>
      {end ? null : <Spark values={held?.samples.values ?? []} width={56} height={16} />}
    </a>
  );
};

const JobIcon = ({ job: { end } }: { job: Job }) => {
  const word = end ? (end.isGood ? "ended well" : "failed") : "running";
  return (
    <span
      class={`job-icon ${end ? (end.isGood ? "good" : "bad") : "live"}`}
      role="img"
      aria-label={word}
      title={word}
    >
      {end ? end.isGood ? <Check /> : <Cross /> : <Running />}
    </span>
  );
};

const JobRate = ({ held }: { held: { samples: Samples } | undefined }) => {
  second.value;
  return (
    <span class="job-rate">
      <b>{rate(held?.samples.rate ?? 0)}</b>/s
    </span>
  );
};

/** How long a job runs, or ran. */
export const JobTime = ({ job: { startedAt, end } }: { job: Job }) => (
  <span class="tabular">
    {end ? duration(end.durationMs ?? end.at - startedAt) : duration(second.value - startedAt)}
  </span>
);

const NoJobs = ({ app }: { app: App }) => {
  beat.value;
  if (app.isIndexLoading) {
    const word = app.link.value.status === "connected" ? "Looking for jobs …" : "Waiting for the gateway …";
    return (
      <div class="skeletons" role="status" aria-label={word}>
        <i />
        <i />
        <i />
      </div>
    );
  }
  return (
    <div class="no-jobs">
      <h2>No jobs yet</h2>
      <p>
        Whatever is started with <code>tally run</code> appears here by itself:
      </p>
      <pre>{`tally run --to ${location.origin} \\\n  --channel job:1 -- ping -c 20 localhost`}</pre>
    </div>
  );
};
