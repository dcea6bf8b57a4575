/** The dialog that changes what a card may spend. */

import { button, el, setText } from "./dom.js";
import { capital, dollars } from "./format.js";
import { MoneyPad } from "./money.js";

const IDLE_MS = 120_000;

export class CapitalDialog {
  idleMs = IDLE_MS;
  #busy = false;

  /** `send(dollars)` changes it or throws; `close()` ends the dialog. */
  constructor(card, { send, close }) {
    this.card = card;
    this.send = send;
    this.cancel = close;
    this.#build();
    this.money.set(String(Math.floor(card.initial_capital)));
  }

  /** Say how far up it may go; an error's sentence in its place. */
  async load(cash) {
    try {
      const { available } = await cash;
      const most = this.card.initial_capital + Math.max(available, 0);
      this.money.most = most;
      setText(this.up, `up to ${capital(Math.floor(most))} · ${dollars(available)} available`);
    } catch (error) {
      setText(this.up, error.message);
    }
  }

  key(name) {
    if (name === "Enter") this.#submit();
    return name === "Enter" || this.money.key(name);
  }

  #build() {
    const { ticker, initial_capital: now, cash } = this.card;
    this.value = el("output");
    this.up = el("p", { class: "cash", "data-cash": "" }, "asking the broker for the cash …");
    const least = Math.ceil(Math.max(now - Math.max(cash, 0), 0));
    const down = `down to ${capital(least)} · ${dollars(cash)} in cash`;
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    this.submit = button({ class: "primary", "data-action": "submit" }, "Change", () => this.#submit());
    const cancel = button({ "data-action": "cancel" }, "Cancel", () => this.cancel());
    this.money = new MoneyPad((text) => this.#show(text));
    const field = el("div", { class: "field", "data-field": "capital", "data-active": "" },
      el("label", {}, "Capital"), this.value, this.up, el("p", { class: "cash" }, down));
    const says = el("p", { class: "ask" }, "The profit or loss stays what it is. What is in shares stays in shares.");
    const form = el("div", { class: "form" }, el("h2", {}, `Capital of ${ticker}`), el("p", {}, `now ${capital(now)}`), field, says);
    const label = { class: "layer add amount", "data-capital": "", role: "dialog", "aria-label": "Change the capital", tabindex: -1 };
    const pad = el("div", { class: "pad" }, this.money.node);
    this.node = el("section", label, el("div", { class: "columns" }, form, pad),
      el("footer", {}, this.error, cancel, this.submit));
  }

  #show(text) {
    setText(this.value, text ? capital(Number(text)) : "");
    setText(this.error, "");
  }

  async #submit() {
    if (this.#busy) return;
    if (!(this.money.amount > 0)) {
      setText(this.error, "Give it some capital, or stop the card");
      return;
    }
    this.#setBusy(true);
    try {
      await this.send(this.money.amount);
      this.cancel();
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.submit.disabled = busy;
  }
}
