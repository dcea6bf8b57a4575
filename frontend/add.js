/** The dialog that gives an algorithm a ticker and some money. */

import { button, el, setAttribute, setText } from "./dom.js";
import { capital, dollars } from "./format.js";
import { LETTERS, keyFor, keypad } from "./keypad.js";
import { MoneyPad } from "./money.js";
import { Parameters } from "./parameters.js";

const IDLE_MS = 120_000;
const LONGEST_TICKER = 10;

export class AddDialog {
  idleMs = IDLE_MS;
  #ticker = "";
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
    if (money.status === "fulfilled") this.money.most = money.value.available;
    setText(this.cash, money.status === "fulfilled" ? rules(money.value) : money.reason.message);
  }

  cancel() {
    this.#close(null);
  }

  key(name) {
    if (name === "Enter") {
      this.#submit();
      return true;
    }
    if (this.pad.contains(this.pads.capital)) return this.money.key(name);
    if (this.pad.contains(this.pads.parameters)) return this.parameters.key(name);
    const key = keyFor(name, LETTERS);
    if (key) this.#type(key);
    return Boolean(key);
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
    // Gets the event "draft" whenever what was chosen changes: the card as it would be sent, null while not whole
    this.preview = el("div", { class: "preview", "data-preview": "" });
    this.submit = button({ class: "primary", "data-action": "submit" }, "Add card", () => this.#submit());
    const cancel = button({ "data-action": "cancel" }, "Cancel", () => this.cancel());
    this.money = new MoneyPad((text) => this.#showCapital(text));
    this.parameters = new Parameters(() => this.#activate("parameters"), () => this.#changed());
    this.pads = { ticker: this.#letters(), capital: this.money.node, parameters: this.parameters.pad };
    this.pad = el("div", { class: "pad" });
    const form = el("div", { class: "form" }, ...Object.values(this.fields));
    const foot = el("footer", {}, this.error, this.preview, cancel, this.submit);
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

  #activate(name) {
    if (this.active === name) return;
    this.active = name;
    if (name !== "parameters") this.parameters.leave();
    for (const [each, node] of Object.entries(this.fields)) {
      setAttribute(node, "data-active", each === name ? "" : null);
    }
    // The keys stay while an algorithm is picked: nothing jumps under the thumb.
    if (name in this.pads) this.pad.replaceChildren(this.pads[name]);
  }

  #type(key) {
    this.#activate("ticker");
    this.#ticker = key === "back" ? this.#ticker.slice(0, -1) : (this.#ticker + key).slice(0, LONGEST_TICKER);
    setText(this.values.ticker, this.#ticker);
    this.#changed();
  }

  #showCapital(text) {
    this.#activate("capital");
    setText(this.values.capital, text ? capital(Number(text)) : "");
    this.#changed();
  }

  #offer(algorithms) {
    const options = algorithms.map((each) => this.#option(each));
    this.options.replaceChildren(...(options.length ? options : ["no file in algorithms/"]));
    const usable = options.filter((option) => !option.disabled);
    if (usable.length === 1) usable[0].click();
  }

  #option({ name, title, description, error, parameters }) {
    const about = error || description || (title === name ? "" : title) || "";
    const option = button(
      { class: "option", "data-option": name, role: "radio", "aria-checked": "false", disabled: error ? "" : null },
      el("strong", {}, name),
      () => this.#pick(option, parameters),
    );
    if (about) option.append(el("small", error ? { class: "warning" } : {}, about));
    return option;
  }

  #pick(option, parameters) {
    if (this.#algorithm === option.dataset.option) return;
    this.#algorithm = option.dataset.option;
    for (const each of this.options.querySelectorAll("[data-option]")) {
      setAttribute(each, "aria-checked", String(each === option));
    }
    this.parameters.show(parameters);
    option.after(this.parameters.node);
    this.#changed();
  }

  #changed() {
    setText(this.error, "");
    const detail = this.#missing() ? null : this.#card();
    this.preview.dispatchEvent(new CustomEvent("draft", { detail }));
  }

  /** What is still missing, as a sentence; empty when the card can be sent. */
  #missing() {
    if (!this.#ticker) return "Type a ticker";
    if (!this.#algorithm) return "Pick an algorithm";
    return this.money.amount > 0 ? this.parameters.fault : "Give it some capital";
  }

  #card() {
    const { chosen } = this.parameters;
    const more = chosen ? { parameters: chosen } : {};
    return { ticker: this.#ticker, algorithm_type: this.#algorithm, initial_capital: this.money.amount, ...more };
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

/** What may be given away, and by which way of counting; the other way's figure beside it. */
function rules({ available, uncommitted, rule, cash, allocated }) {
  const other = rule === "net" ? ["strict", cash - allocated] : ["net", uncommitted];
  const beside = Number.isFinite(other[1]) && rule ? ` by rule ${rule} (${other[0]}: ${dollars(other[1])})` : "";
  return `${dollars(available)} available${beside}`;
}
