//! The six questions and their answers; each leads to where more is.

import { time } from "../format.js";
import { topChannels } from "../model/channels.js";
import {
  accountsOf,
  countOf,
  howIsRedis,
  isArriving,
  isEven,
  isSlow,
  type Verdict,
  whatChanged,
  whatIsHot,
} from "../model/verdict.js";
import type { Page } from "../page.js";
import { Icon } from "./icon.js";

export const Verdicts = ({ page }: { page: Page }) => {
  const listed = page.listed.value;
  const samples = page.samples.value;
  const now = page.now.value;
  const silent = countOf(
    listed.map((it) => it.presence),
    "silent",
  );
  const [hottest] = topChannels(page.channels.value, "rate");
  const [slowest] = page.connections.value;
  const events = Math.max(0, ...samples.map((it) => it.in.events));
  const upstream = page.deaf.value?.is === "upstream";
  const redis: Verdict = upstream
    ? { grade: "bad", answer: "Down", more: "as seen by the gateway of this page" }
    : howIsRedis(samples, now);
  const told = isArriving(accountsOf(listed.map((it) => it.gateway)), silent);
  const asOf = `${told.grade === "good" ? "none lost" : told.answer} as of ${time(page.heardAt.value)}`;
  const arriving: Verdict =
    page.deaf.value === null || told.grade === "bad"
      ? told
      : { grade: "warn", answer: "Not known now", more: asOf };
  const questions: [question: string, verdict: Verdict, go: () => void][] = [
    ["Is everything arriving?", arriving, () => show("account")],
    ["Who is slow?", isSlow(samples, slowest ?? null), () => page.go({ view: "connections" })],
    ["What is hot?", whatIsHot(hottest ?? null, events), () => page.go({ view: "channels", order: "rate" })],
    ["Is load even?", isEven(samples), () => show("even")],
    ["How is Redis?", redis, () => show("redis")],
    ["What changed in the last hour?", whatChanged(page.changes.value, now), () => show("changes")],
  ];
  return (
    <section class="verdicts panel" aria-label="At a glance">
      {questions.map(([question, { grade, answer, more, about }, go]) => (
        <button type="button" key={question} class={`verdict ${grade}`} onClick={go}>
          <span class="question">{question}</span>
          <span class="answer" title={answer}>
            <Icon name={grade === "idle" && about !== undefined ? about : grade} />
            <span>{answer}</span>
          </span>
          <span class="more" title={more}>
            {more}
          </span>
        </button>
      ))}
    </section>
  );
};

const show = (id: string) => {
  const section = document.getElementById(id);
  section?.scrollIntoView({ block: "start" });
  section?.focus({ preventScroll: true });
};
