/** Keys for a ticker, with a row of suggestions over them: what is in use first, then the broker's list. */

import { button, el, setText, updateKeyed } from "./dom.js";
import { LETTERS, keyFor, keypad } from "./keypad.js";

const LONGEST = 10;

class Suggestion {
  constructor({ symbol }, choose) {
    this.name = el("small");
    this.node = button({ class: "suggestion", "data-suggestion": symbol }, "", () => choose(symbol));
    this.node.append(el("strong", {}, symbol), this.name);
  }

  update({ name }) {
    setText(this.name, name);
  }
}

export class TickerPad {
  #ask;
  #change;
  #choose;
  #views = new Map();
  #answered = 0;
  #asked = 0;

  /**
   * `ask(typed)` answers {items: [{symbol, name}], complete} or throws; `change(text)` is told of each new ticker,
   * `choose()` that one was picked whole, `called(name)` what the typed one is called, empty where that is not known.
   */
  constructor({ ask, change, choose, called }) {
    this.#ask = ask;
    this.#change = change;
    this.#choose = choose;
    this.called = called;
    this.text = "";
    this.row = el("div", { class: "suggestions", role: "group", "aria-label": "Suggestions" });
    this.none = el("p", { class: "none", role: "status" });
    const keys = keypad(LETTERS, (key) => this.type(key));
    keys.classList.add("letters");
    this.node = el("div", { class: "typing" }, el("div", { class: "suggested" }, this.row, this.none), keys);
    this.#refresh();
  }

  type(key) {
    this.#set(key === "back" ? this.text.slice(0, -1) : (this.text + key).slice(0, LONGEST));
  }

  /** A real keyboard's key; true if it was one of these. */
  key(name) {
    const key = keyFor(name, LETTERS);
    if (key) this.type(key);
    return Boolean(key);
  }

  #pick(symbol) {
    this.#set(symbol);
    this.#choose();
  }

  #set(text) {
    this.text = text;
    this.called(""); // not known of this one yet
    this.#change(text);
    this.#refresh();
  }

  /** Answers may overtake each other: one that is older than what is shown is of no use. */
  async #refresh() {
    const typed = this.text;
    const number = (this.#asked += 1);
    const answer = await this.#ask(typed).catch(() => null);
    if (!answer || number < this.#answered) return;
    this.#answered = number;
    this.#show(answer, typed);
  }

  #show({ items = [], complete = false }, typed) {
    const known = items.find(({ symbol }) => symbol === typed);
    const create = (item) => new Suggestion(item, (symbol) => this.#pick(symbol));
    updateKeyed(this.row, this.#views, items, ({ symbol }) => symbol, create);
    setText(this.none, complete && !items.length ? `The broker lists nothing like ${typed}` : "");
    if (typed === this.text) this.called(known?.name ?? "");
  }
}
