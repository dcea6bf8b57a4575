/** The parameters that an algorithm lets its card choose, each with its bounds, and keys to type them. */

import { button, el, setAttribute, setText } from "./dom.js";
import { DIGITS, keyFor, keypad } from "./keypad.js";

const KEYS = [...DIGITS, "."];
const LONGEST = 12;

export class Parameters {
  #activate;
  #changed;
  #fields = [];
  #active = null;

  /** `activate()` is told when one of the fields is chosen, so that the keys can be shown; `changed()` of each key. */
  constructor(activate, changed) {
    this.#activate = activate;
    this.#changed = changed;
    this.node = el("div", { class: "parameters" });
    const minus = button({ class: "key", "data-key": "-", "aria-label": "Minus" }, "−", () => this.#type("-"));
    const usual = button({ class: "key", "data-usual": "", "aria-label": "Back to the usual value" }, "usual", () => this.#usual());
    const keys = keypad(KEYS, (key) => this.#type(key));
    this.pad = el("div", { class: "money" }, keys, el("div", { class: "steps" }, minus, usual));
  }

  /** Show the parameters of the algorithm that was picked: {name: {default, min, max, title}}. */
  show(declared) {
    this.#fields = Object.entries(declared ?? {}).map(([name, spec]) => this.#field(name, spec));
    this.#active = null;
    this.node.replaceChildren(...this.#fields.map((field) => field.node));
  }

  /** {name: number}; null where there is nothing to choose. */
  get chosen() {
    if (this.#fields.length === 0) return null;
    return Object.fromEntries(this.#fields.map(({ name, text }) => [name, Number(text)]));
  }

  /** What is out of its bounds, as a sentence; empty when all is well. */
  get fault() {
    const wrong = this.#fields.find(({ text, spec }) => !(text !== "" && Number(text) >= spec.min && Number(text) <= spec.max));
    return wrong ? `${wrong.title}: ${bounds(wrong.spec)}` : "";
  }

  /** A real keyboard's key; true if it was one of these. */
  key(name) {
    const key = keyFor(name, [...KEYS, "-"]);
    if (key) this.#type(key);
    return Boolean(key);
  }

  /** Another field of the dialog has the keys now. */
  leave() {
    this.#mark(null);
  }

  #field(name, spec) {
    const value = el("output");
    const title = String(spec.title ?? name);
    const label = el("label", {}, title, " ", el("small", {}, bounds(spec)));
    const node = el("div", { class: "field", "data-parameter": name, tabindex: 0, role: "button" }, label, value);
    const field = { name, spec, title, value, node, fresh: true, text: "" };
    node.addEventListener("click", (event) => {
      event.stopPropagation();
      this.#choose(field);
    });
    node.addEventListener("focus", () => this.#choose(field));
    write(field, String(spec.default));
    return field;
  }

  #choose(field) {
    if (this.#active === field) return;
    this.#activate();
    this.#mark(field);
    field.fresh = true;
    field.node.scrollIntoView({ block: "nearest" });
  }

  #mark(field) {
    this.#active = field;
    for (const each of this.#fields) setAttribute(each.node, "data-active", each === field ? "" : null);
  }

  /** The first key replaces what was there. */
  #type(key) {
    const field = this.#active;
    if (!field) return;
    const before = field.fresh && key !== "back" ? "" : field.text;
    field.fresh = false;
    write(field, key === "back" ? before.slice(0, -1) : (before + key).slice(0, LONGEST));
    this.#changed();
  }

  #usual() {
    if (!this.#active) return;
    write(this.#active, String(this.#active.spec.default));
    this.#changed();
  }
}

function write(field, text) {
  field.text = text;
  setText(field.value, text);
}

const bounds = ({ min, max }) => `${min} to ${max}`;
