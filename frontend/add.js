/** The dialog that gives an algorithm a ticker and some money. */

import { button, el, setAttribute, setText } from "./dom.js";
import { capital, dollars } from "./format.js";
import { DIGITS, LETTERS, keyFor, keypad } from "./keypad.js";

const IDLE_MS = 120_000;
const LONGEST_TICKER = 10;
const LONGEST_CAPITAL = 9;
const STEPS = [1000, 5000, 10000];

export class AddDialog {
  idleMs = IDLE_MS;
  #available = null;
  #typed = { ticker: "", capital: "" };
  #algorithm = null;
  #busy = false;
  #close;

  /** `send(card)` adds it or throws; `close(id)` ends the dialog, id null when nothing was added. */
  constructor({ send, close }) {
    this.send = send;
    this.#close = close;
    this.#build();
    this.#activate("ticker");
  }

  /** Fill in what the server knows; either may be an error, whose sentence is shown in its place. */
  async load(algorithms, cash) {
    const [listed, money] = await Promise.allSettled([algorithms, cash]);
    if (listed.status === "fulfilled") this.#offer(listed.value.algorithms ?? []);
    else this.options.replaceChildren(el("p", { class: "warning" }, listed.reason.message));
    this.#available = money.status === "fulfilled" ? money.value.available : null;
    setText(this.cash, money.status === "fulfilled" ? `${dollars(this.#available)} available` : money.reason.message);
    setAttribute(this.max, "disabled", this.#available >= 1 ? null : "");
  }

  cancel() {
    this.#close(null);
  }

  key(name) {
    if (name === "Enter") this.#submit();
    const key = keyFor(name, this.#padField === "ticker" ? LETTERS : DIGITS);
    if (key) this.#type(key);
    return Boolean(key) || name === "Enter";
  }

  /** The field that the drawn keys type into. */
  get #padField() {
    return this.pad.contains(this.pads.ticker) ? "ticker" : "capital";
  }

  #build() {
    this.values = { ticker: el("output"), capital: el("output") };
    this.cash = el("p", { class: "cash", "data-cash": "" }, "asking for the cash …");
    this.options = el("div", { class: "options", role: "radiogroup", "aria-label": "Algorithm" }, "…");
    this.fields = {
      ticker: this.#field("ticker", "Ticker", this.values.ticker),
      capital: this.#field("capital", "Capital", this.values.capital),
      algorithm: this.#field("algorithm", "Algorithm", this.options),
    };
    this.error = el("p", { class: "warning", "data-message": "", role: "alert" });
    this.submit = button({ class: "primary", "data-action": "submit" }, "Add card", () => this.#submit());
    const cancel = button({ "data-action": "cancel" }, "Cancel", () => this.cancel());
    this.pads = { ticker: this.#letters(), capital: this.#digits() };
    this.pad = el("div", { class: "pad" });
    const form = el("div", { class: "form" }, ...Object.values(this.fields));
    const foot = el("footer", {}, this.error, cancel, this.submit);
    const label = { class: "layer add", "data-add": "", role: "dialog", "aria-label": "Add a card", tabindex: -1 };
    this.node = el("section", label, el("div", { class: "columns" }, form, this.pad), foot);
  }

  #field(name, label, value) {
    const typed = name === "algorithm" ? {} : { tabindex: 0, role: "button" };
    const more = name === "capital" ? [this.cash] : [];
    const node = el("div", { class: "field", "data-field": name, ...typed }, el("label", {}, label), value, ...more);
    node.addEventListener("click", () => this.#activate(name));
    node.addEventListener("focus", () => this.#activate(name));
    return node;
  }

  #letters() {
    const keys = keypad(LETTERS, (key) => this.#type(key));
    keys.classList.add("letters");
    return keys;
  }

  #digits() {
    const steps = STEPS.map((step) => button({ "data-step": step }, `+${step / 1000}k`, () => this.#raise(step)));
    this.max = button({ "data-step": "max", disabled: "" }, "max", () => this.#raise(Infinity));
    const all = { class: "key", "data-clear": "", "aria-label": "Delete all" };
    const clear = button(all, "C", () => this.#set("capital", ""));
    const keys = keypad(DIGITS, (key) => this.#type(key), clear);
    return el("div", { class: "money" }, keys, el("div", { class: "steps" }, ...steps, this.max));
  }

  #activate(name) {
    if (this.active === name) return;
    this.active = name;
    for (const [each, node] of Object.entries(this.fields)) {
      setAttribute(node, "data-active", each === name ? "" : null);
    }
    // The keys stay while an algorithm is picked: nothing jumps under the thumb.
    if (name in this.pads) this.pad.replaceChildren(this.pads[name]);
  }

  #type(key) {
    const field = this.#padField;
    this.#activate(field);
    const typed = this.#typed[field];
    const longest = field === "ticker" ? LONGEST_TICKER : LONGEST_CAPITAL;
    this.#set(field, key === "back" ? typed.slice(0, -1) : (typed + key).slice(0, longest));
  }

  #set(field, text) {
    this.#typed[field] = field === "capital" ? text.replace(/^0+/, "") : text;
    const shown = this.#typed[field];
    setText(this.values[field], field === "capital" && shown ? capital(Number(shown)) : shown);
    setText(this.error, "");
  }

  /** A quick step: add to the capital, at most up to what is available where that is known. */
  #raise(step) {
    const most = this.#available === null ? 10 ** LONGEST_CAPITAL - 1 : Math.max(0, Math.floor(this.#available));
    this.#activate("capital");
    this.#set("capital", String(Math.min(Number(this.#typed.capital) + step, most)));
  }

  #offer(algorithms) {
    const options = algorithms.map((each) => this.#option(each));
    this.options.replaceChildren(...(options.length ? options : ["no file in algorithms/"]));
    const usable = options.filter((option) => !option.disabled);
    if (usable.length === 1) this.#pick(usable[0]);
  }

  #option({ name, title, description, error }) {
    const about = error || description || (title === name ? "" : title) || "";
    const option = button(
      { class: "option", "data-option": name, role: "radio", "aria-checked": "false", disabled: error ? "" : null },
      el("strong", {}, name),
      () => this.#pick(option),
    );
    if (about) option.append(el("small", error ? { class: "warning" } : {}, about));
    return option;
  }

  #pick(option) {
    this.#algorithm = option.dataset.option;
    for (const each of this.options.children) setAttribute(each, "aria-checked", String(each === option));
    setText(this.error, "");
  }

  /** What is still missing, as a sentence; empty when the card can be sent. */
  #missing() {
    if (!this.#typed.ticker) return "Type a ticker";
    if (!this.#algorithm) return "Pick an algorithm";
    return Number(this.#typed.capital) > 0 ? "" : "Give it some capital";
  }

  #card() {
    const { ticker, capital: typed } = this.#typed;
    return { ticker, algorithm_type: this.#algorithm, initial_capital: Number(typed) };
  }

  async #submit() {
    if (this.#busy) return;
    setText(this.error, this.#missing());
    if (this.#missing()) return;
    this.#setBusy(true);
    try {
      const card = await this.send(this.#card());
      this.#close(card.id ?? null);
    } catch (error) {
      const advice = error.unanswered ? ": see whether the card is there before trying again" : "";
      setText(this.error, error.message + advice);
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
