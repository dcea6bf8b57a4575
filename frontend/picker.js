/** The algorithms to choose from, each with what it does or why it cannot run. */

import { button, el, setAttribute } from "./dom.js";

export class Picker {
  #picked;
  chosen = null;

  /** `picked(algorithm, byHand)` is told of each choice; the only usable one is chosen without a hand. */
  constructor(picked) {
    this.#picked = picked;
    this.node = el("div", { class: "options", "data-scrolls": "", role: "radiogroup", "aria-label": "Algorithm" }, "reading the folder …");
  }

  offer(algorithms) {
    const options = algorithms.map((each) => this.#option(each));
    this.node.replaceChildren(...(options.length ? options : ["No file in algorithms/: put one there."]));
    const usable = algorithms.filter(({ error }) => !error);
    if (usable.length === 1) this.#choose(usable[0], false);
  }

  /** Say why there is nothing to choose from. */
  fail(sentence) {
    this.node.replaceChildren(el("p", { class: "warning" }, sentence));
  }

  #option(algorithm) {
    const { name, title, description, error } = algorithm;
    const about = error || description || (title === name ? "" : title) || "";
    const option = button(
      { class: "option", "data-option": name, role: "radio", "aria-checked": "false", disabled: error ? "" : null },
      el("strong", {}, name),
      () => this.#choose(algorithm, true),
    );
    if (about) option.append(el("small", error ? { class: "warning" } : {}, about));
    return option;
  }

  #choose(algorithm, byHand) {
    this.chosen = algorithm.name;
    for (const each of this.node.querySelectorAll("[data-option]")) {
      setAttribute(each, "aria-checked", String(each.dataset.option === algorithm.name));
    }
    this.#picked(algorithm, byHand);
  }
}
