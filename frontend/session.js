/** The right to change things: a token from the PIN, held in this variable and nowhere else. */

// Given up this early, so that a token does not run out on its way to the server.
const MARGIN_SECONDS = 2;

/** The person closed the PIN pad. */
export class Cancelled extends Error {}

export class Session {
  #pinPad;
  #token = null;
  #goodUntil = 0;

  constructor(pinPad) {
    this.#pinPad = pinPad;
  }

  /** Make sure that there is a token; throws Cancelled. */
  async unlock(purpose, note) {
    if (this.#token && performance.now() < this.#goodUntil) return this.#token;
    const grant = await this.#pinPad.ask(purpose, note);
    if (!grant) throw new Cancelled();
    this.#token = grant.token;
    this.#goodUntil = performance.now() + (grant.expires_in - MARGIN_SECONDS) * 1000;
    return this.#token;
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
