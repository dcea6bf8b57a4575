/** Keys for an amount in whole dollars: digits, delete all, quick steps, and all there is. */

import { button, el, setAttribute } from "./dom.js";
import { DIGITS, keyFor, keypad } from "./keypad.js";

const LONGEST = 9;
const STEPS = [1000, 5000, 10000];

export class MoneyPad {
  #change;
  #most = null;

  /** `change(text)` is told of each new amount; the text is empty or has no zero in front. */
  constructor(change) {
    this.#change = change;
    this.text = "";
    const steps = STEPS.map((step) => button({ "data-step": step }, `+${step / 1000}k`, () => this.#raise(step)));
    this.max = button({ "data-step": "max", disabled: "" }, "max", () => this.#raise(Infinity));
    const clear = button({ class: "key", "data-clear": "", "aria-label": "Delete all" }, "C", () => this.set(""));
    const keys = keypad(DIGITS, (key) => this.type(key), clear);
    this.node = el("div", { class: "money" }, keys, el("div", { class: "steps" }, ...steps, this.max));
  }

  get amount() {
    return Number(this.text);
  }

  /** The most that a quick step goes up to; null where that is not known. */
  set most(dollars) {
    this.#most = dollars;
    setAttribute(this.max, "disabled", dollars >= 1 ? null : "");
  }

  set(text) {
    this.text = text.replace(/^0+/, "");
    this.#change(this.text);
  }

  type(key) {
    this.set(key === "back" ? this.text.slice(0, -1) : (this.text + key).slice(0, LONGEST));
  }

  /** A real keyboard's key; true if it was one of these. */
  key(name) {
    const key = keyFor(name, DIGITS);
    if (key) this.type(key);
    return Boolean(key);
  }

  #raise(step) {
    const most = this.#most === null ? 10 ** LONGEST - 1 : Math.max(0, Math.floor(this.#most));
    this.set(String(Math.min(this.amount + step, most)));
  }
}
