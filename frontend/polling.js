/** Asks for the cards again and again: one chain of timeouts, each set after the answer before. */

import { instant } from "./format.js";

const OPEN_SECONDS = 30;
const CLOSED_SECONDS = 3600;
const AFTER_THE_TURN_SECONDS = 2;
const RETRY_SECONDS = [5, 10, 20, 40, 60];
// A clock that skips closed hours runs 5 minutes past the close, then from 5 minutes before the open.
const SKIPPED_CLOSED_SECONDS = 600;

/**
 * Milliseconds to wait after a good answer: never past the market's next turn, never under a second.
 * A banner by night must not outlast its cause by an hour.
 */
export function nextDelay({ market_open: open, market = {}, health = {} }) {
  const speed = market.mode === "simulated" && market.speed > 0 ? market.speed : 1;
  let wait = open || (health.status ?? "ok") !== "ok" ? OPEN_SECONDS : CLOSED_SECONDS;
  let toTurn = (instant(open ? market.next_close : market.next_open) - instant(market.now)) / 1000;
  if (!open && market.skip_closed) toTurn = Math.min(toTurn, SKIPPED_CLOSED_SECONDS);
  if (Number.isFinite(toTurn)) wait = Math.min(wait, Math.max(toTurn, 0) + AFTER_THE_TURN_SECONDS);
  return Math.max(wait / speed, 1) * 1000;
}

/** Milliseconds to wait after the nth failure in a row: 5 s, 10 s, 20 s, 40 s, then 60 s. */
export function retryDelay(failures) {
  return RETRY_SECONDS[Math.min(failures, RETRY_SECONDS.length) - 1] * 1000;
}

export class Poller {
  #ask;
  #store;
  #timer = null;
  #abort = null;
  #failures = 0;

  /** `ask(signal)` fetches an answer; the store is told of each outcome. */
  constructor(ask, store) {
    this.#ask = ask;
    this.#store = store;
  }

  start() {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.now();
    });
    window.addEventListener("online", () => this.now());
    return this.now();
  }

  /** Poll at once. A poll under way is given up: its answer may be older than what just happened. */
  async now() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const delay = await this.#poll(abort.signal);
    if (abort.signal.aborted) return;
    this.#abort = null;
    this.#timer = setTimeout(() => this.now(), delay);
    this.#store.scheduled(delay);
  }

  /** Once a second: timers sleep with the machine, and ignore a clock that is set. */
  tick() {
    if (!this.#abort && this.#store.secondsToPoll === 0) this.now();
  }

  async #poll(signal) {
    try {
      const answer = await this.#ask(signal);
      if (signal.aborted) return 0;
      this.#failures = 0;
      this.#store.received(answer);
      return nextDelay(answer);
    } catch (error) {
      if (signal.aborted) return 0;
      this.#failures += 1;
      this.#store.failed(error);
      return retryDelay(this.#failures);
    }
  }
}
