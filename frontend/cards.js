/** The strip's cards: one view per card id, changed in place. */

import { el, setAttribute, setText, updateKeyed } from "./dom.js";
import {
  capital, compact, dollars, glyphOf, instant, localDayTime, localMinute, number, outcomeOf, percent, plural, price, signed,
} from "./format.js";
import { Spark } from "./spark.js";

const FLASH_MS = 300;
// Drawn before the browser has said which cards are in view
const NEAR_AT_FIRST = 8;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The last decision in few words: "10:41 BUY 57 · crossed above". */
export function decisionText({ last_decision: decision, status, last_bar_at: newest }, open) {
  if (!decision && status === "stopped") return "never asked";
  if (!decision) return open ? "asked at the next full minute" : "asked when the market opens";
  const action = String(decision.action ?? "").toUpperCase();
  const shares = decision.shares > 0 ? ` ${decision.shares}` : "";
  // A stopped card's is older than its price
  const told = decision.bar?.slice(0, 10) < newest?.slice(0, 10) ? localDayTime : localMinute;
  const time = decision.bar ? `${told(instant(decision.bar))} ` : "";
  return `${time}${action}${shares}${decision.reason ? ` · ${decision.reason}` : ""}`;
}

/** The card's state; a stopped card is "stopping" while its shares are being sold. */
export function stateOf(card) {
  const state = String(card.state ?? "running");
  return card.status === "stopped" && state === "running" ? "stopped" : state;
}

/** What the chip says, empty for a card that simply runs. */
export function stateText(card) {
  if (stateOf(card) !== "running") return stateOf(card).toUpperCase();
  return card.price_stale ? "OLD PRICE" : "";
}

function spoken(card) {
  const outcome = outcomeOf(card.pnl);
  const result = outcome === "even" ? "break-even" : `${outcome} ${dollars(Math.abs(card.pnl))}`;
  const state = stateText(card).toLowerCase();
  return `${card.ticker}, ${card.algorithm_type}, ${result}${state ? `, ${state}` : ""}`;
}

function fact(label) {
  const value = el("dd");
  return { value, node: el("div", {}, el("dt", {}, label), value) };
}

/** The day up to now: its end and the figure say the same. */
const upToNow = (spark, { last_bar_at: now, current_value: value }) =>
  now > spark.at(-1)?.[0] ? [...spark, [now, value]] : spark;

class CardView {
  #shown = null;
  #day = [];

  /** With `near` its day is drawn from the start; else once it is told to be `near`. */
  constructor(card, near) {
    this.near = near;
    this.node = el("article", { class: "card", "data-card": card.id, tabindex: 0, role: "button" });
    this.ticker = el("h2", { class: "ticker" });
    this.algorithm = el("span", { class: "algorithm" });
    this.today = el("span", { class: "today" });
    this.chip = el("span", { class: "chip" });
    this.glyph = el("span", { class: "glyph", "aria-hidden": "true" });
    this.pnl = el("span", { class: "figure", "data-pnl": "" });
    this.percent = el("strong");
    this.counts = el("span");
    this.spark = new Spark();
    this.facts = { price: fact("price"), cash: fact("cash"), holdings: fact("holdings") };
    this.value = el("span", { class: "value" });
    this.of = el("span");
    this.decision = el("p", { class: "decision" });
    this.#assemble();
  }

  #assemble() {
    const labels = el("p", { class: "labels" }, this.algorithm, this.today, this.chip);
    const facts = Object.values(this.facts).map((each) => each.node);
    this.node.append(
      el("header", {}, this.ticker, labels),
      el("p", { class: "pnl" }, this.glyph, this.pnl),
      el("p", { class: "row result" }, this.percent, this.counts),
      this.spark.node,
      el("dl", { class: "facts" }, ...facts),
      el("p", { class: "row worth" }, this.value, this.of),
      this.decision,
    );
  }

  update({ card, open }) {
    const { spark = [], marks = [], ...rest } = card;
    this.#day = [upToNow(spark, card), card.initial_capital, marks];
    if (this.near) this.spark.update(...this.#day);
    const figures = JSON.stringify([rest, open]);
    if (figures !== this.#shown) {
      const before = this.#shown === null ? null : this.pnl.textContent;
      this.#shown = figures;
      this.#markOutcome(card);
      this.#writeFigures(card);
      this.#writeLabels(card, open);
      if (before !== null && before !== this.pnl.textContent) this.#flash();
    }
  }

  /** Come near the strip's window, or gone: a day that nobody sees is not drawn. */
  move(near) {
    this.near = near;
    if (near) this.spark.update(...this.#day);
  }

  #markOutcome(card) {
    setAttribute(this.node, "data-outcome", outcomeOf(card.pnl));
    setAttribute(this.node, "data-state", stateOf(card));
    setAttribute(this.node, "data-stale", card.price_stale ? "" : null);
    setAttribute(this.node, "aria-label", spoken(card));
    setText(this.glyph, glyphOf(card.pnl));
  }

  #writeFigures(card) {
    setText(this.pnl, compact(card.pnl));
    setAttribute(this.pnl, "data-pnl", Number.isFinite(card.pnl) ? card.pnl : "");
    setText(this.percent, percent(card.pnl, card.initial_capital));
    setText(this.counts, `${number(card.current_shares, 0)} sh · ${plural(card.trade_count, "trade")}`);
    setText(this.value, dollars(card.current_value));
    setText(this.of, `of ${capital(card.initial_capital)}`);
    setText(this.facts.price.value, price(card.current_price));
    setText(this.facts.cash.value, dollars(card.cash));
    setText(this.facts.holdings.value, dollars(card.current_value - card.cash));
  }

  #writeLabels(card, open) {
    setText(this.ticker, card.ticker);
    setText(this.algorithm, card.algorithm_type);
    setText(this.today, Number.isFinite(card.today_pnl) ? `today ${signed(card.today_pnl)}` : "");
    setText(this.chip, stateText(card));
    setText(this.decision, card.state_reason || decisionText(card, open));
  }

  /** White for a moment: an animation would cost a frame at each step of it. */
  #flash() {
    if (still.matches || !this.near) return;
    setAttribute(this.pnl, "data-flash", "");
    setTimeout(() => setAttribute(this.pnl, "data-flash", null), FLASH_MS);
  }
}

export class Cards {
  #strip;
  #views = new Map();
  #byNode = new WeakMap();
  #hint;
  #watch;

  /** `strip` holds a hint while it holds no card. */
  constructor(strip) {
    this.#strip = strip;
    this.#hint = strip.querySelector(".hint");
    this.#watch = new IntersectionObserver((found) => this.#moved(found), { root: strip, rootMargin: "0px 50%" });
  }

  /** Show `cards` in the server's order; nodes stay. True when their number is another. */
  update(cards, open) {
    this.#toggleHint(cards.length === 0);
    const items = cards.map((card) => ({ card, open }));
    updateKeyed(this.#strip, this.#views, items, ({ card }) => card.id, ({ card }) => this.#create(card));
    const count = String(cards.length);
    if (this.#strip.style.getPropertyValue("--count") === count) return false;
    this.#strip.style.setProperty("--count", count);
    return true;
  }

  #create(card) {
    const view = new CardView(card, this.#views.size < NEAR_AT_FIRST);
    this.#byNode.set(view.node, view);
    this.#watch.observe(view.node);
    return view;
  }

  #moved(found) {
    for (const { target, isIntersecting } of found) {
      this.#byNode.get(target).move(isIntersecting);
      if (!target.isConnected) this.#watch.unobserve(target);
    }
  }

  #toggleHint(empty) {
    if (!empty) return this.#hint.remove();
    setText(this.#hint, "No cards yet.\nTap + and give an algorithm some money.");
    if (!this.#hint.isConnected) this.#strip.append(this.#hint);
  }
}
