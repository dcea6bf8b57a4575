/** A card's transactions and decisions: newest first, a page at a time, added to in place. */

import { button, el, setAttribute, setText, updateKeyed } from "./dom.js";
import { decimals, dollars, instant, localDayTime, number, signed } from "./format.js";

class TransactionRow {
  constructor() {
    this.what = el("strong");
    this.price = el("span");
    this.sum = el("span", { class: "sum" });
    this.time = el("time");
    this.node = el("li", {}, this.what, this.price, this.sum, this.time);
  }

  update({ type, shares, price, timestamp, label }) {
    setAttribute(this.node, "data-type", label ? "correction" : type);
    setText(this.what, label ? corrected(label, type, shares) : `${type === "buy" ? "▲" : "▼"} ${String(type).toUpperCase()} ${number(shares, 0)}`);
    setText(this.price, `@ ${number(price, decimals(price))}`);
    setText(this.sum, dollars(shares * price));
    setText(this.time, localDayTime(instant(timestamp)));
  }
}

/** What no order did, and nobody may take for a trade: SPLIT +70. */
const corrected = (label, type, shares) => `${String(label).toUpperCase()} ${signed(type === "buy" ? shares : -shares, 0)}`;

class DecisionRow {
  constructor() {
    this.time = el("time");
    this.what = el("strong");
    this.reason = el("span", { class: "reason" });
    this.node = el("li", {}, this.time, this.what, this.reason);
  }

  update({ minute, action, shares, reason, verdict }) {
    setAttribute(this.node, "data-type", action);
    setText(this.time, localDayTime(instant(minute)));
    setText(this.what, `${String(action).toUpperCase()}${shares > 0 ? ` ${number(shares, 0)}` : ""}`);
    // Minutes without a trade are usual; that its data was not complete is not.
    setText(this.reason, [reason, verdict === "missing" ? "data missing" : ""].filter(Boolean).join(" · "));
  }
}

const KINDS = {
  transactions: { Row: TransactionRow, keyOf: (item) => item.id, none: "no transactions yet" },
  decisions: { Row: DecisionRow, keyOf: (item) => item.minute, none: "no decisions yet" },
};

export class PagedList {
  #load;
  #kind;
  #items = [];
  #next = null;
  #views = new Map();

  /** `kind` is transactions or decisions; `load(cursor)` answers {items, next}. */
  constructor(kind, label, load) {
    this.#kind = KINDS[kind];
    this.#load = load;
    this.rows = el("ol", { class: `history ${kind}`, "aria-label": label });
    this.said = el("p", { class: "said", role: "status" }, "…");
    this.more = button({ "data-action": "more", hidden: "" }, "More", () => this.#older());
    this.node = el("div", { class: "list", "data-scrolls": "", tabindex: 0 }, this.rows, this.said, this.more);
  }

  /** Fetch the newest page and put what is new on top; what was paged to stays. */
  async refresh() {
    const page = await this.#page(null);
    if (!page) return;
    const { keyOf } = this.#kind;
    const keys = new Set(page.items.map(keyOf));
    const older = this.#items.filter((item) => !keys.has(keyOf(item)));
    const joins = older.length < this.#items.length;
    if (!joins) this.#next = page.next;
    this.#show([...page.items, ...(joins ? older : [])]);
  }

  remove() {}

  async #older() {
    this.more.disabled = true;
    const page = await this.#page(this.#next);
    this.more.disabled = false;
    if (!page) return;
    this.#next = page.next;
    this.#show([...this.#items, ...page.items]);
  }

  /** A page, or null once the list has said why there is none. */
  async #page(cursor) {
    try {
      const { items = [], next = null } = await this.#load(cursor);
      return { items, next };
    } catch (error) {
      setText(this.said, error.message);
      return null;
    }
  }

  #show(items) {
    const { Row, keyOf, none } = this.#kind;
    this.#items = items;
    updateKeyed(this.rows, this.#views, items, keyOf, () => new Row());
    setText(this.said, items.length ? "" : none);
    setAttribute(this.more, "hidden", this.#next === null ? "" : null);
  }
}
