//! Starts the page: the model, the address, the theme, the views.

import "uplot/dist/uPlot.min.css";
import "./style/page.css";
import "./style/fleet.css";
import "./style/table.css";
import "./style/drawer.css";
import { effect } from "@preact/signals";
import { render } from "preact";
import { Page } from "./page.js";
import { parse, print } from "./route.js";
import { applyTheme } from "./theme.js";
import { App } from "./view/app.js";

declare global {
  interface Window {
    /** The page's model, for tests and for the curious. */
    tallyOps?: Page;
  }
}

const page = new Page(location.origin);
window.tallyOps = page;
applyTheme();

page.go(parse(location.search));
addEventListener("popstate", () => page.go(parse(location.search)));
let view = page.route.peek().view;
effect(() => {
  const route = page.route.value;
  const query = print(route);
  if (query === location.search) return;
  const address = `${location.pathname}${query}`;
  // Another view is a step that the back button undoes; what is typed or picked in it is not.
  if (route.view === view) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  view = route.view;
});

const root = document.getElementById("page");
if (root !== null) render(<App page={page} />, root);
