//! How an order went, until it is dismissed.

import type { Page } from "../page.js";
import { Icon } from "./icon.js";

export const Notices = ({ page }: { page: Page }) => (
  <div class="notices" role="status" aria-live="polite">
    {page.notices.value.map(({ id, good, text }) => (
      <div key={id} class={`notice ${good ? "good" : "bad"}`}>
        <Icon name={good ? "good" : "bad"} />
        <p>{text}</p>
        <button type="button" class="quiet" aria-label="Dismiss" onClick={() => page.dismiss(id)}>
          <Icon name="close" />
        </button>
      </div>
    ))}
  </div>
);
