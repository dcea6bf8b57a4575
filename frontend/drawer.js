/** The sheet of one card: exact figures, last transactions, and the two ways to stop it. */

import { button, el, setAttribute, setText } from "./dom.js";
import {
  capital, dollars, glyphOf, localDayTime, instant, number, outcomeOf, percent, plural, signed,
} from "./format.js";
import { decisionText, stateOf, stateText } from "./cards.js";

const IDLE_MS = 120_000;
const TRANSACTIONS_SHOWN = 20;

/** [label, figure] pairs, exact where the card rounds. */
function figures(card) {
  return [
    ["value", `${dollars(card.current_value)} of ${capital(card.initial_capital)}`],
    ["today", signed(card.today_pnl)],
    ["shares", number(card.current_shares, 0)],
    ["price", dollars(card.current_price)],
    ["holdings", dollars(card.current_value - card.cash)],
    ["cash", dollars(card.cash)],
    ["net invested", dollars(card.invested)],
    ["last bar", localDayTime(instant(card.last_bar_at))],
    ["since", localDayTime(instant(card.created_at))],
  ];
}

/** What each button does, said before it is tapped; a button without a sentence is not shown. */
function consequences(card, open) {
  const shares = plural(card.current_shares, "share");
  const when = open ? "now" : "when the market opens";
  if (stateOf(card) === "stopping") return {};
  if (card.status === "stopped") return { sell: `Sells the ${shares} at the market price ${when}.` };
  const held = card.current_shares > 0;
  return {
    keep: held ? `No more trades. The ${shares} stay in the account.` : "No more trades. It holds no shares.",
    sell: held
      ? `No more trades. Sells the ${shares} at the market price ${when}.`
      : "No more trades. Sells whatever it still gets.",
  };
}

export class Drawer {
  idleMs = IDLE_MS;
  #busy = false;

  /** `stop(card, liquidate)` does it or throws; `close()` ends the sheet. */
  constructor(card, { stop, close }) {
    this.id = card.id;
    this.stop = stop;
    this.close = close;
    this.#build();
  }

  cancel() {
    this.close();
  }

  #build() {
    this.title = el("h2");
    this.subtitle = el("p", { class: "subtitle" });
    this.pnl = el("p", { class: "pnl" });
    this.facts = el("dl", { class: "facts" });
    this.decision = el("p", { class: "decision" });
    this.history = el("ol", { class: "history", "aria-label": "Transactions" }, el("li", {}, "…"));
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    this.keep = this.#choice("stop", "Stop, keep shares", false);
    this.sell = this.#choice("stop-sell", "Stop and sell", true);
    const close = button({ class: "close", "data-action": "cancel", "aria-label": "Close" }, "×", () => this.cancel());
    const head = el("header", {}, el("div", {}, this.title, this.subtitle), this.pnl, close);
    this.reason = el("p", { class: "warning" });
    const exact = el("div", { class: "exact" }, this.facts, this.reason, this.decision);
    const label = { class: "layer drawer", "data-drawer": "", role: "dialog", "aria-label": "Card", tabindex: -1 };
    const foot = el("footer", {}, this.keep.node, this.sell.node);
    this.node = el("section", label, head, el("div", { class: "columns" }, exact, this.history), this.error, foot);
  }

  #choice(action, label, liquidate) {
    const says = el("small");
    const name = el("strong", {}, label);
    const node = button({ class: "choice", "data-action": action }, name, () => this.#stop(liquidate));
    node.append(says);
    return { node, says, name };
  }

  update(card, open) {
    this.card = card;
    setAttribute(this.node, "data-outcome", outcomeOf(card.pnl));
    setText(this.title, card.ticker);
    setText(this.subtitle, [card.algorithm_type, stateText(card).toLowerCase()].filter(Boolean).join(" · "));
    setText(this.pnl, `${glyphOf(card.pnl)} ${signed(card.pnl)}  ${percent(card.pnl, card.initial_capital)}`);
    setText(this.decision, decisionText(card.last_decision));
    setText(this.reason, card.state_reason ?? "");
    this.#writeFigures(figures(card));
    this.#writeConsequences(consequences(card, open));
  }

  #writeFigures(pairs) {
    if (this.facts.children.length === 0) {
      this.facts.append(...pairs.map(([label]) => el("div", {}, el("dt", {}, label), el("dd"))));
    }
    pairs.forEach(([, figure], index) => setText(this.facts.children[index].lastChild, figure));
  }

  #writeConsequences({ keep, sell }) {
    this.keep.node.hidden = keep === undefined;
    this.sell.node.hidden = sell === undefined;
    setText(this.keep.says, keep ?? "");
    setText(this.sell.says, sell ?? "");
    setText(this.sell.name, keep === undefined ? "Sell the shares" : "Stop and sell");
  }

  /** Show the newest transactions; a server that has no such list gets a quiet line. */
  async load(transactions) {
    try {
      const { items = [] } = await transactions;
      const rows = items.slice(0, TRANSACTIONS_SHOWN).map(row);
      this.history.replaceChildren(...(rows.length ? rows : [el("li", {}, "no transactions yet")]));
    } catch (error) {
      const text = error.status === 404 ? "no list of transactions here" : error.message;
      this.history.replaceChildren(el("li", {}, text));
    }
  }

  async #stop(liquidate) {
    if (this.#busy) return;
    this.#setBusy(true);
    setText(this.error, "");
    try {
      await this.stop(this.card, liquidate);
      this.close();
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.keep.node.disabled = busy;
    this.sell.node.disabled = busy;
  }
}

function row({ type, shares, price, timestamp }) {
  return el(
    "li",
    { "data-type": type },
    el("span", {}, `${type === "buy" ? "▲" : "▼"} ${String(type).toUpperCase()} ${number(shares, 0)}`),
    el("span", {}, `@ ${number(price)}`),
    el("time", {}, localDayTime(instant(timestamp))),
  );
}
