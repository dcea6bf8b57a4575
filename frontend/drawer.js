/** The sheet of one card: exact figures, its history, and what the owner can do with it. */

import { button, el, setAttribute, setText } from "./dom.js";
import {
  capital, dollars, glyphOf, localDayTime, instant, number, outcomeOf, percent, plural, price, signed,
} from "./format.js";
import { decisionText, stateOf } from "./cards.js";
import { holdButton } from "./hold.js";

const IDLE_MS = 120_000;
const HOW = "Hold the button for a second";

/** [label, figure] pairs, exact where the card rounds. */
function figures(card) {
  return [
    ["value", dollars(card.current_value)],
    ["capital", capital(card.initial_capital)],
    ["today", signed(card.today_pnl)],
    ["shares", number(card.current_shares, 0)],
    ["price", price(card.current_price)],
    ["holdings", dollars(card.current_value - card.cash)],
    ["cash", dollars(card.cash)],
    ["net invested", dollars(card.invested)],
    ["last bar", localDayTime(instant(card.last_bar_at))],
    ["since", localDayTime(instant(card.created_at))],
  ];
}

/** What each button does, said before it is held; a button without a sentence is not shown. */
function consequences(card, open) {
  const shares = plural(card.current_shares, "share");
  const when = open ? "now" : "when the market opens";
  if (stateOf(card) === "stopping") return {};
  const held = card.current_shares > 0;
  const sell = held ? `Sells the ${shares} at the market price ${when}.` : "Sells whatever it still gets.";
  if (card.status === "stopped") return { sell };
  return {
    keep: held ? `No more trades. The ${shares} stay in the account.` : "No more trades. It holds no shares.",
    sell: `No more trades. ${sell}`,
    money: "Changes what it may spend.",
  };
}

export class Drawer {
  idleMs = IDLE_MS;
  #busy = false;
  #panes = null;
  #gone = false;

  /** `actions` has stop(card, liquidate), resume(card), accept(card), change(card); `close()` ends the sheet. */
  constructor(card, { actions, close }) {
    this.id = card.id;
    this.actions = actions;
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
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    const close = button({ class: "close", "data-action": "cancel", "aria-label": "Close" }, "×", () => this.cancel());
    const head = el("header", {}, el("div", {}, this.title, this.subtitle), this.pnl, close);
    this.exact = el("div", { class: "exact", "data-scrolls": "", tabindex: 0 }, this.#trouble(), this.facts, this.decision);
    this.history = el("div", { class: "panes" }, "…");
    const columns = el("div", { class: "columns" }, this.exact, this.history, this.error);
    const label = { class: "layer drawer", "data-drawer": "", role: "dialog", "aria-label": "Card", tabindex: -1 };
    this.node = el("section", label, head, columns, this.#feet());
  }

  /** Why the card does not trade, and what the owner can do about it. */
  #trouble() {
    this.reason = el("p", { class: "warning" });
    const act = (name, label) =>
      button({ "data-action": name }, label, () => this.#do(() => this.actions[name](this.card)));
    this.resume = act("resume", "Let it go on");
    this.accept = act("accept", "Accept the broker's figure");
    return el("div", { class: "trouble" }, this.reason, this.resume, this.accept);
  }

  #feet() {
    this.money = this.#choice(button({ class: "choice", "data-action": "capital" }, "", () => this.actions.change(this.card)));
    setText(this.money.name, "Capital");
    this.keep = this.#choice(this.#stopButton("stop", false), "hold");
    setText(this.keep.name, "Stop, keep shares");
    this.sell = this.#choice(this.#stopButton("stop-sell", true), "hold");
    return el("footer", {}, this.money.node, this.keep.node, this.sell.node);
  }

  #stopButton(action, liquidate) {
    return holdButton({ class: "choice", "data-action": action }, {
      onHeld: () => this.#do(async () => {
        await this.actions.stop(this.card, liquidate);
        this.close();
      }),
      onTap: () => setText(this.error, HOW),
    });
  }

  #choice(node, how = "") {
    const [name, says] = [el("strong"), el("small")];
    node.append(el("span", { class: "name" }, name, el("em", {}, how)), says);
    return { node, name, says };
  }

  /** `old` says that the server is silent: these are the figures from before. */
  update(card, open, old) {
    this.card = card;
    setAttribute(this.node, "data-outcome", outcomeOf(card.pnl));
    setText(this.title, card.ticker);
    setAttribute(this.node, "data-stale", card.price_stale);
    const said = [
      old && "old figures", stateOf(card) !== "running" && stateOf(card), card.price_stale && "old price",
      card.algorithm_type, ...Object.entries(card.parameters ?? {}).map((each) => each.join(" ")),
    ];
    setText(this.subtitle, said.filter(Boolean).join(" · "));
    setText(this.pnl, `${glyphOf(card.pnl)} ${signed(card.pnl)}  ${percent(card.pnl, card.initial_capital)}`);
    setText(this.decision, decisionText(card, open));
    setText(this.reason, card.state_reason ?? "");
    setAttribute(this.resume, "hidden", stateOf(card) === "paused" ? null : "");
    setAttribute(this.accept, "hidden", stateOf(card) === "frozen" ? null : "");
    this.#writeFigures(figures(card));
    this.#writeConsequences(consequences(card, open));
    this.#panes?.update(card);
  }

  #writeFigures(pairs) {
    if (this.facts.children.length === 0) {
      this.facts.append(...pairs.map(([label]) => el("div", {}, el("dt", {}, label), el("dd"))));
    }
    pairs.forEach(([, figure], index) => setText(this.facts.children[index].lastChild, figure));
  }

  #writeConsequences(says) {
    for (const name of ["keep", "sell", "money"]) {
      setAttribute(this[name].node, "hidden", says[name] === undefined ? "" : null);
      setText(this[name].says, says[name] ?? "");
    }
    setText(this.sell.name, says.keep === undefined ? "Sell the shares" : "Stop and sell");
  }

  /** Bring in the history; `api` fetches it. The sheet does all else without it. */
  async load(api) {
    try {
      const { Panes } = await import("./panes.js");
      if (this.#gone) return;
      this.#panes = new Panes(this.card, api);
      this.history.replaceWith(this.#panes.node);
    } catch {
      setText(this.history, "history unavailable");
    }
  }

  /** The sheet is gone for good. */
  leave() {
    this.#gone = true;
    this.#panes?.remove();
    this.#panes = null;
  }

  async #do(act) {
    if (this.#busy) return;
    this.#setBusy(true);
    setText(this.error, "");
    try {
      await act();
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    for (const node of [this.keep.node, this.sell.node, this.resume, this.accept]) node.disabled = busy;
  }
}
