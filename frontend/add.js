/** The dialog that gives an algorithm a ticker and some money. */

import { button, el, setAttribute, setText } from "./dom.js";
import { capital, dollars } from "./format.js";
import { MoneyPad } from "./money.js";
import { Parameters } from "./parameters.js";
import { Picker } from "./picker.js";
import { Preview } from "./preview.js";
import { TickerPad } from "./tickers.js";

const IDLE_MS = 120_000;
const ARROWS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
const LABELS = { algorithm: "Algorithm", parameters: "Parameters", ticker: "Ticker", capital: "Capital" };

export class AddDialog {
  idleMs = IDLE_MS;
  #busy = false;
  #close;

  /**
   * `send(card)` adds it or throws; `suggest(typed)` answers tickers; `past` starts backtests and looks at them;
   * `close(id)` ends the dialog, id null when nothing was added.
   */
  constructor({ send, suggest, past, close }) {
    this.send = send;
    this.#close = close;
    this.preview = new Preview(past);
    this.#build(suggest);
    this.#activate("algorithm");
    this.#changed();
  }

  /** Fill in what the server knows, each as it comes: a slow broker keeps nobody from choosing. An error's sentence is shown in its place. */
  load(algorithms, cash) {
    const offer = (listed) => this.picker.offer(listed.algorithms ?? []);
    const tell = (money) => {
      this.money.most = money.available;
      this.cash.replaceChildren(...rules(money));
    };
    algorithms.then(offer, (error) => this.picker.fail(error.message));
    cash.then(tell, (error) => this.cash.replaceChildren(error.message));
  }

  cancel() {
    this.#end(null);
  }

  #end(id) {
    this.preview.draft(null); // nobody waits for it any more
    this.#close(id);
  }

  key(name) {
    if (name === "Enter") {
      this.#submit();
      return true;
    }
    if (ARROWS[name]) return this.#walk(ARROWS[name]);
    if (this.active === "capital") return this.money.key(name);
    if (this.active === "parameters") return this.parameters.key(name);
    return this.tickers.key(name);
  }

  /** Tab goes on to the next field, which has other keys: the arrows go to those of this one. */
  #walk(step) {
    const keys = [...this.pad.querySelectorAll("button:enabled, [tabindex='0']")];
    const at = Math.max(keys.indexOf(document.activeElement), step < 0 ? 0 : -1);
    keys.at((at + step) % keys.length)?.focus();
    return true;
  }

  #build(suggest) {
    this.picker = new Picker((algorithm, byHand) => this.#pick(algorithm, byHand));
    this.parameters = new Parameters(() => this.#changed());
    this.company = el("small");
    this.tickers = new TickerPad({
      ask: suggest,
      change: (text) => this.#show("ticker", text),
      choose: () => this.#advance(),
      called: (name) => setText(this.company, name),
    });
    this.money = new MoneyPad((text) => this.#show("capital", text ? capital(Number(text)) : ""));
    this.cash = el("p", { class: "cash", "data-cash": "" }, "asking the broker for the cash …");
    this.pads = { algorithm: this.picker.node, parameters: this.parameters.node, ticker: this.tickers.node, capital: this.money.node };
    this.values = Object.fromEntries(Object.keys(LABELS).map((name) => [name, el("output")]));
    this.fields = Object.fromEntries(Object.keys(LABELS).map((name) => [name, this.#field(name)]));
    this.fields.parameters.hidden = true;
    this.pad = el("div", { class: "pad" });
    const form = el("div", { class: "form" }, ...Object.values(this.fields), this.preview.node);
    const label = { class: "layer add", "data-add": "", role: "dialog", "aria-label": "Add a card", tabindex: -1 };
    this.node = el("section", label, el("div", { class: "columns" }, form, this.pad), this.#foot());
  }

  #field(name) {
    const more = { ticker: [this.company], capital: [this.cash] }[name] ?? [];
    const title = el("label", {}, LABELS[name]);
    const node = el("div", { class: "field", "data-field": name, tabindex: 0, role: "button" }, title, this.values[name], ...more);
    node.addEventListener("click", () => this.#activate(name));
    node.addEventListener("focus", () => this.#activate(name));
    return node;
  }

  #foot() {
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    this.guide = el("p", { class: "guide", role: "status" });
    this.submit = button({ class: "primary", "data-action": "submit" }, "Add card", () => this.#submit());
    const cancel = button({ "data-action": "cancel" }, "Cancel", () => this.cancel());
    return el("footer", {}, this.error, this.guide, cancel, this.submit);
  }

  #activate(name) {
    if (this.active === name) return;
    this.active = name;
    for (const [each, node] of Object.entries(this.fields)) {
      setAttribute(node, "data-active", each === name ? "" : null);
    }
    this.pad.replaceChildren(this.pads[name]);
  }

  /** On to what is still empty; where nothing is, nothing moves. */
  #advance() {
    const next = this.tickers.text ? "capital" : "ticker";
    if (next === "ticker" || !this.money.amount) this.fields[next].focus({ preventScroll: true });
  }

  #pick({ name, parameters }, byHand) {
    setText(this.values.algorithm, name);
    this.parameters.show(parameters);
    setAttribute(this.fields.parameters, "hidden", this.parameters.isEmpty ? "" : null);
    this.#changed();
    if (byHand || this.active === "algorithm") this.#advance();
  }

  #show(name, text) {
    this.#activate(name);
    setText(this.values[name], text);
    this.#changed();
  }

  #changed() {
    const missing = this.#missing();
    setText(this.values.parameters, this.parameters.summary);
    setText(this.error, "");
    setText(this.guide, missing || `${this.picker.chosen} will trade ${this.tickers.text} with ${this.values.capital.textContent}`);
    this.preview.draft(missing ? null : this.#card());
  }

  /** What is still missing, as a sentence; empty when the card can be sent. */
  #missing() {
    if (!this.picker.chosen) return "Pick an algorithm";
    if (!this.tickers.text) return "Type a ticker";
    return this.money.amount > 0 ? this.parameters.fault : "Give it some capital";
  }

  #card() {
    const { chosen } = this.parameters;
    const more = chosen ? { parameters: chosen } : {};
    return { ticker: this.tickers.text, algorithm_type: this.picker.chosen, initial_capital: this.money.amount, ...more };
  }

  async #submit() {
    if (this.#busy) return;
    setText(this.error, this.#missing());
    if (this.#missing()) return;
    this.#setBusy(true);
    try {
      const card = await this.send(this.#card());
      this.#end(card.id ?? null);
    } catch (error) {
      setText(this.error, error.message);
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.submit.disabled = busy;
    setText(this.submit, busy ? "Adding …" : "Add card");
  }
}

/** What may be given away by the rule in force, and by the other one. */
function rules({ available, uncommitted, rule, cash, allocated }) {
  if (!rule) return [el("span", {}, `${dollars(available)} available`)];
  const [other, amount] = rule === "net" ? ["strict", cash - allocated] : ["net", uncommitted];
  return [
    el("span", {}, `${dollars(available)} available (${rule} rule)`),
    el("span", {}, `${dollars(amount)} by the ${other} rule`),
  ];
}
