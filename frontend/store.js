/** What the page knows: the last good answer, when it came, and whether the server is silent. */

/** Seconds that no clock change can shorten: a wall clock set back must not make old data look new. */
export function stopwatch() {
  const wall = Date.now();
  const steady = performance.now();
  return () => Math.max(Date.now() - wall, performance.now() - steady) / 1000;
}

export class Store extends EventTarget {
  answer = null;
  failure = null;
  receivedAt = null;
  #age = () => 0;
  #sinceSchedule = () => 0;
  #delay = 0;

  received(answer) {
    this.answer = answer;
    this.failure = null;
    this.receivedAt = this.#timeOf(answer);
    this.#age = stopwatch();
    this.dispatchEvent(new Event("change"));
  }

  failed(error) {
    this.failure = error;
    this.dispatchEvent(new Event("change"));
  }

  scheduled(delayMs) {
    this.#sinceSchedule = stopwatch();
    this.#delay = delayMs / 1000;
    this.dispatchEvent(new Event("schedule"));
  }

  /** Machine seconds since the last good answer. */
  get age() {
    return this.#age();
  }

  /** Machine seconds to the next poll; 0 while one is under way. */
  get secondsToPoll() {
    return Math.max(0, this.#delay - this.#sinceSchedule());
  }

  /** The figures are not current: the server is silent, or no poll has run when it should have. */
  get offline() {
    if (this.failure) return true;
    return this.answer !== null && this.age > Math.max(75, 2 * this.#delay);
  }

  /** Cards to show: the running ones, and stopped ones that still hold shares or may get some. */
  get cards() {
    return (this.answer?.algorithms ?? []).filter(
      (card) => card.status !== "stopped" || card.current_shares > 0 || card.order_open,
    );
  }

  /** The server's time; a simulated market's time is not the reader's, so there it is the browser's. */
  #timeOf(answer) {
    const server = Date.parse(answer.market?.now);
    const usable = answer.market?.mode !== "simulated" && Number.isFinite(server);
    return usable ? server : Date.now();
  }
}
