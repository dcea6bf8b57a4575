/** The parameters that an algorithm lets its card choose, each with its bounds, and keys to type them. */

import { button, el, setAttribute, setText } from "./dom.js";
import { DIGITS, keyFor, keypad } from "./keypad.js";

const KEYS = [...DIGITS, "."];
const LONGEST = 12;

export class Parameters {
  #changed;
  #fields = [];
  #active = null;

  /** `changed()` is told of each new value. */
  constructor(changed) {
    this.#changed = changed;
    this.list = el("div", { class: "parameters", "data-scrolls": "" });
    const minus = button({ class: "key", "data-key": "-", "aria-label": "Minus" }, "−", () => this.#type("-"));
    const usual = button({ class: "key", "data-usual": "", "aria-label": "Back to the usual value" }, "usual", () => this.#usual());
    const keys = keypad(KEYS, (key) => this.#type(key));
    this.node = el("div", { class: "tuning" }, this.list, el("div", { class: "money" }, keys, el("div", { class: "steps" }, minus, usual)));
  }

  /** Take the parameters of the algorithm that was picked: {name: {default, min, max, title}}. */
  show(declared) {
    this.#fields = Object.entries(declared ?? {}).map(([name, spec]) => this.#field(name, spec));
    this.list.replaceChildren(...this.#fields.map((field) => field.node));
    this.#choose(this.#fields[0] ?? null);
  }

  get isEmpty() {
    return this.#fields.length === 0;
  }

  /** {name: number}; null where there is nothing to choose. */
  get chosen() {
    return this.isEmpty ? null : Object.fromEntries(this.#fields.map(({ name, text }) => [name, Number(text)]));
  }

  /** All of them in a line: "short 20 · long 50". */
  get summary() {
    return this.#fields.map(({ name, text }) => `${name} ${text || "?"}`).join(" · ");
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

  #field(name, spec) {
    const value = el("output");
    const title = String(spec.title ?? name);
    const label = { class: "field", "data-parameter": name, tabindex: 0, role: "button" };
    const node = el("div", label, el("label", {}, title), value, el("small", {}, bounds(spec)));
    const field = { name, spec, title, value, node, fresh: true, text: "" };
    node.addEventListener("click", () => this.#choose(field));
    node.addEventListener("focus", () => this.#choose(field));
    write(field, String(spec.default));
    return field;
  }

  #choose(field) {
    if (this.#active === field) return;
    this.#active = field;
    for (const each of this.#fields) setAttribute(each.node, "data-active", each === field ? "" : null);
    if (!field) return;
    field.fresh = true;
    field.node.scrollIntoView({ block: "nearest" });
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
