/** The status bar: mode, total, market, and how old all of it is. */

import { setAttribute, setText } from "./dom.js";
import {
  glyphOf, instant, localMinute, localTime, marketDayTime, marketTime, nextOpenTime, outcomeOf, signed, span,
} from "./format.js";

const MODE_NOTES = { paper: "no real money", live: "real money" };

// On a narrow wall the cents of a large sum take the room that the market's state needs.
const roomy = matchMedia("(min-width: 1100px)");

const sumText = (amount) => signed(amount, Math.abs(amount) < (roomy.matches ? 1e6 : 1000) ? 2 : 0);

/** "SIMULATED 60x", "PAPER", "LIVE". */
export function modeText({ mode, speed }) {
  const name = String(mode ?? "unknown").toUpperCase();
  return mode === "simulated" && speed > 1 ? `${name} ${speed}x` : name;
}

/** "OPEN to 16:00 ET" or "CLOSED · opens in 14 h 02"; `age` is in machine seconds since the answer. */
export function marketText({ market_open: open, market = {} }, age) {
  if (open) return market.next_close ? `OPEN to ${marketTime(market.next_close)} ET` : "OPEN";
  if (market.next_open === null) return "CLOSED for good";
  const left = secondsToOpen(market, age);
  return Number.isFinite(left) ? `CLOSED · opens in ${span(Math.max(left, 0))}` : "CLOSED";
}

/** Market seconds to the next open; below zero once it has come and no answer has said so. */
export function secondsToOpen(market, age) {
  const since = age * (market.mode === "simulated" ? market.speed : 1);
  return (instant(market.next_open) - instant(market.now)) / 1000 - since;
}

/** "Mon 09:30 ET"; empty while the market is open. */
export function opensText({ market_open: open, market = {} }) {
  return open || !market.next_open ? "" : nextOpenTime(market.next_open, market.now);
}

/** "14:30:02 · 18 s ago · next 12 s"; an old one needs no seconds. */
export function updatedText(store) {
  const next = store.secondsToPoll > 0 ? `next ${span(Math.ceil(store.secondsToPoll))}` : "asking";
  if (!store.answer) return next;
  const time = (store.age < 60 ? localTime : localMinute)(store.receivedAt);
  return `${time} · ${span(store.age)} ago · ${next}`;
}

export class Bar {
  constructor(node) {
    const find = (hook) => node.querySelector(`[data-${hook}]`);
    this.mode = find("mode");
    this.modeName = find("mode-name");
    this.modeNote = find("mode-note");
    this.totals = find("total-outcome");
    this.glyph = find("total-glyph");
    this.total = find("total");
    this.today = find("today");
    this.market = find("market");
    this.opens = find("opens");
    this.updated = find("updated");
    this.sums = null;
    roomy.addEventListener("change", () => this.sums && this.#writeTotals());
  }

  update(store) {
    this.tick(store);
    if (!store.answer) return;
    this.#writeMode(store.answer.market ?? {});
    this.sums = store.answer.totals ?? {};
    this.#writeTotals();
    setText(this.opens, opensText(store.answer));
    setAttribute(this.opens, "hidden", this.opens.textContent ? null : "");
    setAttribute(this.market, "data-open", store.answer.market_open ? "" : null);
  }

  /** Once a second: only what grows older by itself. */
  tick(store) {
    setText(this.updated, updatedText(store));
    if (store.answer) setText(this.market, marketText(store.answer, store.age));
  }

  #writeMode(market) {
    setAttribute(this.mode, "data-mode", market.mode ?? "unknown");
    setText(this.modeName, modeText(market));
    setText(this.modeNote, market.mode === "simulated" ? marketDayTime(market.now) : MODE_NOTES[market.mode] ?? "");
  }

  /** The server's sums: cards that were stopped and sold count too, and are not among the cards shown. */
  #writeTotals() {
    const { pnl, today_pnl: today } = this.sums;
    setAttribute(this.totals, "data-total-outcome", outcomeOf(pnl));
    setText(this.glyph, glyphOf(pnl));
    setText(this.total, sumText(pnl));
    setAttribute(this.total, "data-total", Number.isFinite(pnl) ? Math.round(pnl * 100) / 100 : "");
    setText(this.today, sumText(today));
    setAttribute(this.today, "data-outcome", outcomeOf(today));
  }
}
