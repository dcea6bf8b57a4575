/** The report of a session: what was made, how well its minutes were kept, and what happened. */

import { button, el, setAttribute, setText } from "./dom.js";
import { dollars, glyphOf, instant, localMinute, marketDay, marketTime, number, outcomeOf, plural, signed } from "./format.js";

const IDLE_MS = 300_000;

/** [label, figure, whether it is as it should be] of each line. */
function figures({ minutes, card_minutes: asked, late_ms: late, bars, orders, fills, slippage, drift, restarts }) {
  const traded = ({ shares, dollars: worth, number: times }) => (times ? `${plural(shares, "share")}, ${dollars(worth)}` : "nothing");
  return [
    ["minutes kept", `${number(minutes.run, 0)} of ${number(minutes.due, 0)}`, minutes.run === minutes.due],
    ["decisions", `${number(asked.decided, 0)} of ${number(asked.due, 0)}`, asked.decided === asked.due],
    ["woken late by", late.p50 === null ? "never woken" : `${number(late.p50, 0)} ms, most ${number(late.max, 0)}`, true],
    ["bars in time", number(bars.bar, 0), true],
    ["bars late", number(bars.late, 0), bars.late === 0],
    ["bars missing", number(bars.missing, 0), bars.missing === 0],
    ["orders", Object.entries(orders).map(([state, count]) => `${count} ${state}`).join(", ") || "none", true],
    ["bought", traded(fills.buy), true],
    ["sold", traded(fills.sell), true],
    ["slippage", slippage.basis_points === null ? "nothing to measure" : `${number(slippage.basis_points)} bp, ${signed(slippage.dollars)}`, true],
    ["ledger and broker", drift.length ? `differ: ${plural(drift.length, "card")}` : "agree", drift.length === 0],
    ["restarts", number(restarts, 0), restarts === 0],
  ];
}

function cardRow({ ticker, shares, today, total }) {
  const figure = (amount) => el("span", { class: "money-of", "data-outcome": outcomeOf(amount) }, signed(amount));
  return el("li", {}, el("strong", {}, ticker), el("span", {}, `${number(shares, 0)} sh`), figure(today), figure(total));
}

/** A message may be a traceback, whose last line says what went wrong. */
function eventRow({ timestamp, message }) {
  return el("li", {}, el("time", {}, localMinute(instant(timestamp))), el("span", {}, String(message).trimEnd().split("\n").at(-1)));
}

export class Report {
  idleMs = IDLE_MS;
  #ask;
  #days = [];
  #day = null;

  /** `ask(day)` answers {report, days}, day null for the newest; `close()` ends the panel. */
  constructor(ask, close) {
    this.#ask = ask;
    this.cancel = close;
    this.title = el("h2", {}, "Report");
    this.subtitle = el("p", { class: "subtitle" });
    this.pnl = el("p", { class: "pnl" });
    this.older = button({ class: "close", "data-action": "older", "aria-label": "The day before", disabled: "" }, "‹", () => this.#step(1));
    this.newer = button({ class: "close", "data-action": "newer", "aria-label": "The day after", disabled: "" }, "›", () => this.#step(-1));
    const away = button({ class: "close", "data-action": "cancel", "aria-label": "Close" }, "×", () => this.cancel());
    const head = el("header", {}, el("div", {}, this.title, this.subtitle), this.pnl, this.older, this.newer, away);
    this.facts = el("dl", { class: "facts" });
    this.cards = el("ol", { class: "history earnings", "aria-label": "Cards" });
    this.events = el("ol", { class: "history events", "aria-label": "Events" });
    this.said = el("p", { class: "said", role: "status" }, "…");
    const told = el("div", { class: "list", "data-scrolls": "", tabindex: 0 }, this.said, this.cards, this.events);
    const exact = el("div", { class: "exact", "data-scrolls": "", tabindex: 0 }, this.facts);
    const label = { class: "layer drawer report", "data-report": "", role: "dialog", "aria-label": "Report", tabindex: -1 };
    this.node = el("section", label, head, el("div", { class: "columns" }, exact, told));
  }

  key(name) {
    const step = { ArrowLeft: 1, ArrowRight: -1 }[name];
    if (step) this.#step(step);
    return Boolean(step);
  }

  async load(day = null) {
    try {
      const { report, days } = await this.#ask(day);
      this.#days = [...new Set([...(day ? this.#days : [report.day]), ...days])].sort().reverse();
      this.#show(report);
    } catch (error) {
      setText(this.said, error.message);
    }
  }

  /** To an older day, or with -1 to a newer one. */
  #step(by) {
    const day = this.#days[this.#days.indexOf(this.#day) + by];
    if (day) this.load(day);
  }

  #show(report) {
    this.#day = report.day;
    const at = this.#days.indexOf(report.day);
    setAttribute(this.older, "disabled", at < this.#days.length - 1 ? null : "");
    setAttribute(this.newer, "disabled", at > 0 ? null : "");
    const { today, cards } = report.pnl;
    setText(this.title, marketDay(report.open));
    setText(this.subtitle, sessionText(report));
    setText(this.pnl, `${glyphOf(today)} ${signed(today)}`);
    setAttribute(this.node, "data-outcome", outcomeOf(today));
    this.facts.replaceChildren(...figures(report).map(([label, figure, fine]) =>
      el("div", {}, el("dt", {}, label), el("dd", fine ? {} : { class: "warning" }, figure))));
    const head = el("li", { class: "head" }, ...["card", "shares", "that day", "in all"].map((text) => el("span", {}, text)));
    this.cards.replaceChildren(...(cards.length ? [head, ...cards.map(cardRow)] : []));
    this.events.replaceChildren(...report.events.map(eventRow));
    setText(this.said, cards.length || report.events.length ? "" : "No card, and nothing to tell.");
  }
}

/** "the session to 16:00 ET", or how far it has come. */
function sessionText({ close, made_at: made }) {
  const over = instant(made) >= instant(close);
  return over ? `session to ${marketTime(close)} ET` : `so far: to ${marketTime(made)} of ${marketTime(close)} ET`;
}
