/** The dialog that stops every card, and stays to show how it goes. */

import { button, el, setAttribute, setText } from "./dom.js";
import { plural } from "./format.js";
import { holdButton } from "./hold.js";

const IDLE_MS = 120_000;
const AGAIN_MS = 2000;

const running = (cards) => cards.filter((card) => card.status === "running");
const trading = (cards) => cards.filter((card) => card.status === "running" || card.order_open);
const holding = (cards) => cards.filter((card) => card.current_shares > 0);
const sharesOf = (cards) => cards.reduce((sum, card) => sum + Math.max(card.current_shares, 0), 0);

export class StopAll {
  idleMs = IDLE_MS;
  #stopped = null;
  #busy = false;
  #timer = null;

  /** `stop(liquidate)` does it or throws; `poll()` asks for the cards; `close()` ends the dialog. */
  constructor(store, { stop, poll, close }) {
    this.stop = stop;
    this.poll = poll;
    this.cancel = close;
    this.#build();
    this.update(store);
  }

  #build() {
    this.says = el("p", { class: "sentence", role: "status" });
    this.progress = el("progress", { "data-progress": "", hidden: "", "aria-label": "Cards without shares" });
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    this.keep = this.#choice("stop", "Stop all, keep shares", "No more trades. All shares stay in the account.", false);
    this.sell = this.#choice("stop-sell", "Stop all and sell", "", true);
    const close = button({ class: "close", "data-action": "cancel", "aria-label": "Close" }, "×", () => this.cancel());
    const label = { class: "layer menu", "data-stop-all": "", role: "dialog", "aria-label": "Stop all cards", tabindex: -1 };
    this.foot = el("footer", {}, this.keep.node, this.sell.node);
    this.node = el("section", label, el("header", {}, el("h2", {}, "Stop all cards"), close),
      this.says, this.progress, this.error, this.foot);
  }

  #choice(action, name, says, liquidate) {
    const small = el("small", {}, says);
    const node = holdButton({ class: "choice", "data-action": action }, {
      onHeld: () => this.#stop(liquidate),
      onTap: () => setText(this.error, "Hold the button for a second"),
    }, el("span", { class: "name" }, el("strong", {}, name), el("em", {}, "hold")), small);
    return { node, says: small };
  }

  update(store) {
    const { cards, answer, offline } = store;
    const open = answer?.market_open;
    const said = this.#stopped ? this.#showProgress(cards, open) : this.#showChoice(cards, open);
    setText(this.says, answer ? `${offline ? "Old figures: " : ""}${said}` : "Waiting for the terminal …");
  }

  leave() {
    clearTimeout(this.#timer);
  }

  /** What can be stopped, and in a sentence how much that is. */
  #showChoice(cards, open) {
    const shares = plural(sharesOf(cards), "share");
    const when = open ? "now" : "when the market opens";
    setText(this.sell.says, `No more trades. Sells ${shares} at the market price ${when}.`);
    setAttribute(this.keep.node, "hidden", running(cards).length ? null : "");
    setAttribute(this.sell.node, "hidden", cards.length ? null : "");
    return cards.length ? `${plural(running(cards).length, "card")} trading, ${shares} held.` : "There is no card to stop.";
  }

  /** How far it is, and in a sentence what is left. */
  #showProgress(cards, open) {
    const { liquidate, count } = this.#stopped;
    const left = liquidate ? cards : trading(cards);
    setAttribute(this.progress, "max", Math.max(count, left.length, 1));
    setAttribute(this.progress, "value", Math.max(count, left.length, 1) - left.length);
    return left.length ? this.#underWay(left, open) : this.#done(cards);
  }

  #underWay(left, open) {
    const cards = plural(left.length, "card");
    if (!this.#stopped.liquidate) return `${cards} still trading.`;
    if (sharesOf(left) === 0) return `${cards} to go: an order is under way.`;
    return `${cards} and ${plural(sharesOf(left), "share")} to go${open ? "." : ": sold when the market opens."}`;
  }

  #done(cards) {
    if (this.#stopped.liquidate) return "Flat: nothing trades and nothing is held.";
    const held = holding(cards);
    return `Nothing trades. ${held.length ? `${plural(sharesOf(held), "share")} kept.` : "Nothing is held."}`;
  }

  async #stop(liquidate) {
    if (this.#busy) return;
    this.#busy = true;
    setText(this.error, "");
    try {
      const { algorithms = [] } = await this.stop(liquidate);
      this.#stopped = { liquidate, count: algorithms.length };
      setAttribute(this.progress, "hidden", null);
      setAttribute(this.foot, "hidden", "");
      this.#watch();
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      this.#busy = false;
    }
  }

  /** Ask again and again, so that the shares can be seen to go. */
  async #watch() {
    await this.poll();
    const going = this.progress.getAttribute("value") !== this.progress.getAttribute("max");
    if (going && this.node.isConnected) this.#timer = setTimeout(() => this.#watch(), AGAIN_MS);
  }
}
