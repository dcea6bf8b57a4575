/** What a screen needs that is never switched off: dimmed off hours, moved a little, loaded anew each night. */

import { secondsToOpen } from "./bar.js";
import { setAttribute } from "./dom.js";

const HOUR_MS = 3_600_000;
const UNTOUCHED_MS = 120_000;
const RELOAD_AFTER_MS = 20 * HOUR_MS;
const MOST_SHIFT_PX = 2;

/** Where the page stands in an hour: up and left by a pixel or two, so that no edge burns in. */
export function shiftAt(milliseconds) {
  const hour = Math.floor(milliseconds / HOUR_MS);
  const steps = MOST_SHIFT_PX + 1;
  return `${-(hour % steps)}px ${-(Math.floor(hour / steps) % steps)}px`;
}

export class Night {
  #page;
  #store;
  #loadedAt = performance.now();
  #touchedAt = performance.now();

  constructor(page, store) {
    this.#page = page;
    this.#store = store;
    for (const name of ["pointerdown", "pointermove", "keydown"]) {
      document.addEventListener(name, (event) => this.#touched(event), { passive: true });
    }
  }

  /** Off hours, once in about a day; never on a silent server, whose page would be an error. */
  get reloadDue() {
    return this.#closed && !this.#store.offline && performance.now() - this.#loadedAt > RELOAD_AFTER_MS;
  }

  /** Once a second. */
  tick() {
    const untouched = performance.now() - this.#touchedAt > UNTOUCHED_MS;
    setAttribute(this.#page, "data-night", this.#closed && untouched ? "" : null);
    const shift = shiftAt(Date.now());
    if (this.#page.dataset.shift === shift) return;
    this.#page.dataset.shift = shift;
    this.#page.style.translate = shift;
  }

  /** Closed as far as is known: on a silent server until the next open. */
  get #closed() {
    const { answer, age } = this.#store;
    return answer?.market_open === false && !(secondsToOpen(answer.market ?? {}, age) < 0);
  }

  /** Whoever comes near it sees it bright; a finger needs no arrow. */
  #touched({ pointerType }) {
    this.#touchedAt = performance.now();
    setAttribute(this.#page, "data-night", null);
    if (pointerType) setAttribute(document.documentElement, "data-touch", pointerType === "touch" ? "" : null);
  }
}
