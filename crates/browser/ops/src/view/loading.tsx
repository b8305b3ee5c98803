//! What stands where figures will be: before the first sample, and where none can come.

import type { Page } from "../page.js";
import { Icon } from "./icon.js";

export const Loading = ({ page }: { page: Page }) => {
  const deaf = page.deaf.value;
  if (deaf?.is === "refused" || deaf?.is === "ended") {
    return (
      <section class="panel state bad">
        <Icon name="bad" />
        <h2>Nothing can be shown</h2>
        <p>{deaf.reason}</p>
        <p>
          Open <code>/ops</code> on a gateway's admin port (its address is <code>admin</code> in the
          configuration), the only one that tells of the fleet.
        </p>
      </section>
    );
  }
  const words =
    deaf === null
      ? "Connected. Every gateway says how it is once a second; the first one will be here at once."
      : deaf.is === "upstream"
        ? "This gateway has no link to Redis, so it hears of no gateway. The page fills when the link is back."
        : "Connecting to the gateway that served this page.";
  return (
    <section class="panel state" aria-busy="true">
      <Icon name="silent" />
      <h2>Waiting for the first sample</h2>
      <p>{words}</p>
      <div class="skeleton" aria-hidden="true">
        {Array.from({ length: 6 }, (_, i) => (
          <i key={i} />
        ))}
      </div>
    </section>
  );
};
