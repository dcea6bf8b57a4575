/** The status bar: mode, total, market, and how old all of it is. */

import { setAttribute, setText } from "./dom.js";
import { glyphOf, localTime, marketDayTime, marketTime, nextOpenTime, outcomeOf, signed, span } from "./format.js";

const MODE_NOTES = { paper: "no real money", live: "real money" };

// Above it the cents only take the room that the market's state needs.
const CENTS_SHOWN_BELOW = 10_000;

/** "SIMULATED 60x", "PAPER", "LIVE". */
export function modeText({ mode, speed }) {
  const name = String(mode ?? "unknown").toUpperCase();
  return mode === "simulated" && speed > 1 ? `${name} ${speed}x` : name;
}

/** "OPEN to 16:00 ET" or "CLOSED · opens Mon 09:30 ET". */
export function marketText({ market_open: open, market = {} }) {
  if (open) return market.next_close ? `OPEN to ${marketTime(market.next_close)} ET` : "OPEN";
  if (market.next_open === null) return "CLOSED for good";
  return market.next_open ? `CLOSED · opens ${nextOpenTime(market.next_open, market.now)}` : "CLOSED";
}

/** "14:30:02 · 18 s ago · next 12 s". */
export function updatedText(store) {
  const next = store.secondsToPoll > 0 ? `next ${span(Math.ceil(store.secondsToPoll))}` : "asking";
  if (!store.answer) return next;
  return `${localTime(store.receivedAt)} · ${span(store.age)} ago · ${next}`;
}

const sum = (cards, field) => cards.reduce((total, card) => total + (card[field] ?? 0), 0);

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
    this.updated = find("updated");
  }

  update(store) {
    this.tick(store);
    if (!store.answer) return;
    this.#writeMode(store.answer.market ?? {});
    this.#writeTotals(store.cards);
    setText(this.market, marketText(store.answer));
    setAttribute(this.market, "data-open", store.answer.market_open ? "" : null);
  }

  /** Once a second: only what grows older by itself. */
  tick(store) {
    setText(this.updated, updatedText(store));
  }

  #writeMode(market) {
    setAttribute(this.mode, "data-mode", market.mode ?? "unknown");
    setText(this.modeName, modeText(market));
    setText(this.modeNote, market.mode === "simulated" ? marketDayTime(market.now) : MODE_NOTES[market.mode] ?? "");
  }

  #writeTotals(cards) {
    const total = sum(cards, "pnl");
    setAttribute(this.totals, "data-total-outcome", outcomeOf(total));
    setText(this.glyph, glyphOf(total));
    setText(this.total, signed(total, Math.abs(total) < CENTS_SHOWN_BELOW ? 2 : 0));
    setAttribute(this.total, "data-total", Math.round(total * 100) / 100);
    setText(this.today, `today ${signed(sum(cards, "today_pnl"))}`);
  }
}
