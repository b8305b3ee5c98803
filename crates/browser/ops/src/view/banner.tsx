//! Whether what is shown is live: a word in the heading, and a line below it where it is not.

import { ago, time } from "../format.js";
import type { Page } from "../page.js";
import { Icon, type IconName, Status } from "./icon.js";

/** Samples come once a second; later than this, in ms, the figures are called stale. */
const STALE_MS = 5_000;

export const LinkState = ({ page }: { page: Page }) => {
  const { grade, icon, word } = stateOf(page);
  return (
    <span class="link-state" role="status">
      <Status grade={grade} icon={icon} word={word} />
    </span>
  );
};

const stateOf = (page: Page): { grade: string; icon: IconName; word: string } => {
  const deaf = page.deaf.value;
  const heardAt = page.heardAt.value;
  if (deaf === null) {
    if (heardAt === 0) return { grade: "idle", icon: "silent", word: "Waiting" };
    if (page.now.value - heardAt > STALE_MS) return { grade: "warn", icon: "warn", word: "Stale" };
    return { grade: "good", icon: "running", word: "Live" };
  }
  switch (deaf.is) {
    case "connecting":
      return heardAt === 0 && deaf.reason === ""
        ? { grade: "idle", icon: "silent", word: "Connecting" }
        : { grade: "warn", icon: "warn", word: "Reconnecting" };
    case "upstream":
      return { grade: "bad", icon: "bad", word: "Redis down" };
    case "reduced":
      return { grade: "warn", icon: "warn", word: "Reduced" };
    default:
      return { grade: "bad", icon: "bad", word: "Disconnected" };
  }
};

export const Banner = ({ page }: { page: Page }) => {
  const words = bannerOf(page);
  if (words === null) return null;
  const { grade, text, canRetry } = words;
  return (
    <div class={`banner ${grade}`} role="alert">
      <Icon name={grade === "bad" ? "bad" : "warn"} />
      <p>{text}</p>
      {canRetry && (
        <button type="button" onClick={() => page.retry()}>
          Try now
        </button>
      )}
    </div>
  );
};

const bannerOf = (page: Page): { grade: "warn" | "bad"; text: string; canRetry: boolean } | null => {
  const deaf = page.deaf.value;
  const now = page.now.value;
  const heardAt = page.heardAt.value;
  const asOf = heardAt > 0 ? ` Figures are as of ${time(heardAt)}, ${ago((now - heardAt) / 1000)}.` : "";
  if (deaf === null) {
    const trouble = page.trouble.value;
    if (heardAt > 0 && now - heardAt > STALE_MS) {
      return { grade: "warn", text: `Connected, but no gateway has said anything.${asOf}`, canRetry: false };
    }
    return trouble === null
      ? null
      : { grade: "warn", text: `Something was not as it should be: ${trouble}.`, canRetry: false };
  }
  switch (deaf.is) {
    case "connecting": {
      if (deaf.reason === "" || (heardAt === 0 && deaf.reason === "connect was called")) return null;
      const wait = deaf.retryAt === null ? 0 : Math.max(0, Math.ceil((deaf.retryAt - now) / 1000));
      const again = wait > 0 ? `trying again in ${wait} s` : "trying again";
      return {
        grade: "warn",
        text: `Not connected to this gateway: ${deaf.reason}; ${again}.${asOf}`,
        canRetry: wait > 1,
      };
    }
    case "upstream":
      return {
        grade: "bad",
        text: `The gateway that serves this page has no link to Redis, so it hears nothing of the fleet.${asOf} Counts stay exact: what was missed is told when the link is back.`,
        canRetry: false,
      };
    case "reduced":
      return { grade: "warn", text: `Not every sample comes: ${deaf.reason}.${asOf}`, canRetry: false };
    case "refused":
      return {
        grade: "bad",
        text: `This gateway does not let the page listen: ${deaf.reason}. The dashboard works on a gateway's admin port only.`,
        canRetry: false,
      };
    case "ended":
      return { grade: "bad", text: `Disconnected for good: ${deaf.reason}.${asOf}`, canRetry: true };
  }
};
