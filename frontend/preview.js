/** Under a card that is being made: what its algorithm would have made of the newest sessions. */

import { el, setAttribute, setText } from "./dom.js";
import { glyphOf, outcomeOf, percent, plural, signed } from "./format.js";
import { Spark } from "./spark.js";

// A person who still types or taps is let be
const SETTLED_MS = 500;
const LOOK_MS = 200;
const LONGEST_MS = 25_000;
const SLOW_MS = 2_500;

export class Preview {
  #asked = null;
  #timer = 0;

  /** `start(card)` answers the backtest that was begun, `look(id)` how it is doing. */
  constructor({ start, look }) {
    this.start = start;
    this.look = look;
    this.title = el("small");
    this.figure = el("strong");
    this.traded = el("span");
    this.held = el("span");
    this.said = el("p", { class: "said" });
    this.spark = new Spark();
    const head = el("p", {}, this.title, this.figure);
    const more = el("p", { class: "more" }, this.traded, this.held);
    this.found = el("div", { class: "found" }, head, more, this.spark.node);
    this.node = el("div", { class: "preview", "data-preview": "", role: "status" }, this.found, this.said);
    this.#say("");
  }

  /** The card as it would be sent, or null while it is not whole: then nothing is shown. */
  draft(card) {
    const asked = card && JSON.stringify(card);
    if (asked === this.#asked) return;
    this.#asked = asked;
    clearTimeout(this.#timer);
    this.#say("");
    if (card) this.#timer = setTimeout(() => this.#try(card, asked), SETTLED_MS);
  }

  async #try(card, asked) {
    this.#say("trying it on past sessions …");
    const since = performance.now();
    try {
      let found = await this.#begin(card, asked);
      while (found?.status === "running" && performance.now() - since < LONGEST_MS) {
        if (performance.now() - since > SLOW_MS) this.#say("fetching its history …");
        await pause(LOOK_MS);
        if (asked !== this.#asked) return;
        found = await this.look(found.id);
      }
      if (asked === this.#asked && found) this.#show(found);
    } catch (error) {
      if (asked === this.#asked) this.#say(error.message);
    }
  }

  /** Where another one is still running, wait for its end: nobody is interested in that one any more. */
  async #begin(card, asked) {
    for (;;) {
      try {
        return await this.start(card);
      } catch (error) {
        if (error.code !== "busy") throw error;
        await pause(1000 * (error.retryAfter ?? 1));
        if (asked !== this.#asked) return null;
      }
    }
  }

  #say(sentence) {
    setText(this.said, sentence);
    setAttribute(this.found, "hidden", "");
  }

  #show({ result, error }) {
    if (!result) {
      this.#say(error ?? "It took too long.");
      return;
    }
    this.#say(result.notes[0] ?? "");
    setAttribute(this.found, "hidden", null);
    setText(this.title, `last ${plural(result.sessions, "session")}`);
    setText(this.figure, `${glyphOf(result.pnl)} ${percent(result.pnl, result.capital)}`);
    setAttribute(this.found, "data-outcome", outcomeOf(result.pnl));
    setText(this.traded, `${plural(result.trades, "trade")}, worst ${part(result.max_drawdown)}`);
    setText(this.held, `buy & hold ${part(result.buy_and_hold.return)}`);
    this.spark.update(result.spark.map(evenly), result.capital, []);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Points side by side, so that nights and weekends take no room. */
const evenly = ([, value], index) => [new Date(index * 1000).toISOString(), value];

/** A part of one with its sign: +2.1%. */
const part = (value) => `${signed(100 * value, 1)}%`;
