/** The drawer's four views of one card's history; one is open at a time. */

import { button, el, setAttribute, setText } from "./dom.js";
import { PagedList } from "./lists.js";

const MOST_MARKS = 500;

const LABELS = { chart: "Chart", equity: "Worth", transactions: "Trades", decisions: "Decisions" };

/** `work()` one at a time; asked for meanwhile, it is done once more after that. */
function oneAtATime(work) {
  let busy = false;
  let again = false;
  return async () => {
    again = busy;
    if (busy) return;
    busy = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      busy = false;
    }
  };
}

/** A chart, or the reason why there is none. */
class ChartPane {
  #draw;
  #chart = null;
  #gone = false;

  /** `draw(charts, chart, pane)` fetches and shows, and answers the chart, null where there is nothing. */
  constructor(draw) {
    this.#draw = draw;
    this.said = el("p", { class: "said", role: "status" }, "…");
    this.node = el("div", { class: "charted" }, this.said);
  }

  async refresh() {
    try {
      const charts = await import("./charts.js");
      const made = await charts.library();
      const show = await this.#draw(charts);
      if (this.#gone) return;
      setText(this.said, show ? "" : "no bars yet");
      if (show) this.#chart = show(made, this.#chart, this.node);
    } catch (error) {
      // What is drawn already stays: it is older, and its axis says so.
      if (!this.#chart) setText(this.said, error.status ? error.message : "chart unavailable");
    }
  }

  remove() {
    this.#gone = true;
    this.#chart?.remove();
  }
}

export class Panes {
  #api;
  #card;
  #open = null;
  #refresh = null;
  #shown = "";

  constructor(card, api) {
    this.#api = api;
    this.#card = card;
    this.tabs = Object.entries(LABELS).map(([name, label]) =>
      button({ role: "tab", "data-tab": name, "aria-selected": "false" }, label, () => this.#select(name)));
    this.list = el("div", { class: "tabs", role: "tablist", "aria-label": "History" }, ...this.tabs);
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
    this.body = el("div", { class: "pane", role: "tabpanel", "aria-label": "History" });
    this.node = el("div", { class: "panes" }, this.list, this.body);
    this.#select("chart");
  }

  /** Fetch again only when there is something new to see. */
  update(card) {
    this.#card = card;
    const now = newsOf(card);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#refresh();
  }

  remove() {
    this.#open.remove();
  }

  #select(name) {
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === name;
      setAttribute(tab, "aria-selected", String(chosen));
      setAttribute(tab, "tabindex", chosen ? null : -1);
    }
    this.#open?.remove();
    const pane = this.#pane(name);
    this.#open = pane;
    this.#refresh = oneAtATime(() => pane.refresh());
    this.body.replaceChildren(pane.node);
    this.#shown = newsOf(this.#card);
    this.#refresh();
  }

  #onKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const count = this.tabs.length;
    const at = this.tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    const tab = this.tabs[(at + step + count) % count];
    this.#select(tab.dataset.tab);
    tab.focus();
  }

  #pane(name) {
    const { id } = this.#card;
    if (name === "chart") return new ChartPane((charts) => this.#candles(charts));
    if (name === "equity") return new ChartPane((charts) => this.#equity(charts));
    return new PagedList(name, LABELS[name], (cursor) => this.#api[name](id, { cursor }));
  }

  async #candles({ CandleChart, barsNeeded }) {
    const card = this.#card;
    const [bars, transactions] = await Promise.all([
      this.#api.bars(card.ticker, barsNeeded(card)),
      this.#api.transactions(card.id, { limit: MOST_MARKS }),
    ]);
    if (!bars.items.length) return null;
    return (made, chart, node) => {
      const drawn = chart ?? new CandleChart(made, node);
      drawn.show(card, bars.items, transactions.items);
      return drawn;
    };
  }

  async #equity({ EquityChart }) {
    const card = this.#card;
    const { items } = await this.#api.equity(card.id);
    if (!items.length) return null;
    return (made, chart, node) => {
      const drawn = chart ?? new EquityChart(made, node);
      drawn.show(card, items);
      return drawn;
    };
  }
}

/** What must differ for anything here to differ. */
function newsOf({ last_bar_at: bar, trade_count: trades, last_decision: decision, initial_capital: capital }) {
  return JSON.stringify([bar, trades, decision, capital]);
}
