/** The right to change things, and on the network to see them: a token from the PIN, held here and nowhere else. */

// Given up this early, so that a token does not run out on its way to the server.
const MARGIN_SECONDS = 2;

/** The person closed the PIN pad. */
export class Cancelled extends Error {}

export class Session {
  #pinPad;
  #token = null;
  #goodUntil = 0;
  #asking = null;

  constructor(pinPad) {
    this.#pinPad = pinPad;
  }

  /** Make sure that there is a token; throws Cancelled. */
  async unlock(purpose, note) {
    if (this.#token && performance.now() < this.#goodUntil) return this.#token;
    this.#asking ??= this.#ask(purpose, note).finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #ask(purpose, note) {
    const grant = await this.#pinPad.ask(purpose, note);
    if (!grant) throw new Cancelled();
    this.#token = grant.token;
    this.#goodUntil = performance.now() + (grant.expires_in - MARGIN_SECONDS) * 1000;
    return this.#token;
  }

  /** The token to read with, if there is one: reading is prolonged by reading, and the server knows how long. */
  pass() {
    return this.#token;
  }

  /** Ask for the PIN because reading with `refused` was refused; false when the person closed the pad. */
  async admit(refused) {
    if (this.#token === refused) this.#token = null;
    return this.unlock("See the cards").then(() => true, () => false);
  }

  /** Do what needs the PIN: `call(token)`, asked anew whenever the server no longer takes the token. */
  async run(purpose, call) {
    let note = "";
    for (;;) {
      const token = await this.unlock(purpose, note);
      try {
        return await call(token);
      } catch (error) {
        if (error.status !== 401) throw error;
        this.#token = null;
        note = "The PIN is needed once more";
      }
    }
  }
}
