/** The menu: what concerns the whole wall. Loaded when it is first opened. */

import { problems, titleOf } from "./banner.js";
import { button, el, setAttribute, setText } from "./dom.js";
import { Cancelled } from "./session.js";
import { StopAll } from "./stopall.js";

const IDLE_MS = 60_000;

// Text, not links: a kiosk that follows one has no way back.
const NOTICES = [
  ["AutoTrader", "MIT License, Copyright (c) 2026 the AutoTrader authors"],
  ["Charts", "TradingView Lightweight Charts\u2122, Copyright (c) 2025 TradingView, Inc."
    + " https://www.tradingview.com/, Apache License 2.0, from the package litecharts (MIT License)"],
  ["Server", "Python (PSF), Flask, Werkzeug, Jinja and click (BSD-3-Clause), gunicorn (MIT)"],
  ["Market", "alpaca-py, requests and msgpack (Apache-2.0), websockets and pandas (BSD-3-Clause), pytz (MIT)"],
];

/** A dialog's frame: a title with its close button, and what is in it. */
function sheet(hook, title, close, ...children) {
  const away = button({ class: "close", "data-action": "cancel", "aria-label": "Close" }, "×", close);
  const label = { class: "layer menu", [hook]: "", role: "dialog", "aria-label": title, tabindex: -1 };
  return el("section", label, el("header", {}, el("h2", {}, title), away), ...children);
}

function choice(action, name, says, onClick) {
  const node = button({ class: "choice", "data-action": action }, "", onClick);
  node.append(el("strong", {}, name), el("small", {}, says));
  return node;
}

export class Menu {
  idleMs = IDLE_MS;

  /** `actions` has report(), stopAll(), changePin(), about(); `close()` ends the menu. */
  constructor(store, { actions, close }) {
    this.cancel = close;
    this.problems = el("ul", { class: "problems", "data-scrolls": "", "aria-label": "Problems", tabindex: 0 });
    const choices = el("div", { class: "choices" },
      choice("report", "Today's report", "What was made, and how well each minute was kept.", actions.report),
      choice("stop-all", "Stop all cards", "Keep their shares, or sell everything.", actions.stopAll),
      choice("pin", "Change the PIN", "Whoever was let in by the old one is let out.", actions.changePin),
      choice("about", "About", "Version and licences.", actions.about));
    this.node = sheet("data-menu", "Menu", close, choices, this.problems);
    this.update(store);
  }

  /** The banner shows the worst problem; here are all of them. */
  update(store) {
    const found = problems(store).map((each) => `⚠ ${titleOf(each)} ${each.message}`);
    const fine = store.answer !== null && !found.length;
    const wanted = found.length ? found : [fine ? "✓ Nothing is wrong." : "Waiting for the terminal …"];
    while (this.problems.children.length > wanted.length) this.problems.lastChild.remove();
    while (this.problems.children.length < wanted.length) this.problems.append(el("li"));
    setAttribute(this.problems, "data-fine", fine ? "" : null);
    wanted.forEach((text, index) => setText(this.problems.children[index], text));
  }
}

export class About {
  idleMs = IDLE_MS;

  constructor(store, { close }) {
    this.cancel = close;
    const { health = {}, build = "", market = {} } = store.answer ?? {};
    const lines = [
      ["Version", [health.version ?? "unknown", build && `page ${build}`, market.mode].filter(Boolean).join(" · ")],
      ...NOTICES,
    ];
    const list = el("dl", { class: "notices", "data-scrolls": "", tabindex: 0 });
    for (const [name, text] of lines) list.append(el("div", {}, el("dt", {}, name), el("dd", {}, text)));
    this.node = sheet("data-about", "About", close, list);
  }
}

/** A sentence to be read and closed. */
export class Note {
  idleMs = IDLE_MS;

  constructor(title, sentence, close) {
    this.cancel = close;
    const ok = button({ class: "primary", "data-action": "submit" }, "OK", close);
    this.node = sheet("data-note", title, close, el("p", { class: "sentence", role: "status" }, sentence), ok);
  }

  key(name) {
    if (name === "Enter") this.cancel();
    return name === "Enter";
  }
}

/** Why the PIN was not changed, or may have been; who gave it up needs no sentence. */
export function notChanged(error) {
  if (error instanceof Cancelled) throw error;
  return error.message + (error.unanswered ? ": the new PIN may be in force, or still the old one" : "");
}

export { StopAll };
