//! Puts the page together. `window.tally` is for tests and the curious: `tally.account()`, `tally.client`.

import { render } from "preact";
import { App } from "./model/app";
import "./style/base.css";
import "./style/frame.css";
import "./style/jobs.css";
import "./style/channel.css";
import "./style/log.css";
import "./style/account.css";
import "./style/notices.css";
import "./style/narrow.css";
import { Page } from "./view/page";

declare global {
  interface Window {
    tally?: App;
  }
}

const app = new App();
window.tally = app;
render(<Page app={app} />, document.getElementById("app") as HTMLElement);
