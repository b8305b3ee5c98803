//! The field that `/` leads to. What is typed is in the address.

import type { Page } from "../page.js";
import { Icon } from "./icon.js";

export const Search = ({ page, label, placeholder }: { page: Page; label: string; placeholder: string }) => (
  <label class="search">
    <Icon name="search" />
    <span class="unseen">{label}</span>
    <input
      type="search"
      value={page.route.value.search}
      placeholder={placeholder}
      maxLength={200}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => page.go({ search: event.currentTarget.value.trim() })}
    />
    <kbd>/</kbd>
  </label>
);
