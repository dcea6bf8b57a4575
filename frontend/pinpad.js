/** The PIN pad: full screen, own keys, dots for digits. */

import { button, el, setAttribute, setText } from "./dom.js";
import { countdown, plural } from "./format.js";
import { DIGITS, keyFor, keypad } from "./keypad.js";
import { stopwatch } from "./store.js";

const IDLE_MS = 30_000;
const LONGEST_PIN = 64;
const DOTS_SHOWN = 12;
const LOCKED_WITHOUT_A_TIME_SECONDS = 30;

export class PinPad {
  #layers;
  #validate;
  #lockedSeconds = () => 0;

  /** `validate(pin)` asks the server and answers {token, expires_in} or throws an ApiError. */
  constructor(layers, validate) {
    this.#layers = layers;
    this.#validate = validate;
  }

  /** Ask for the PIN; resolves with the server's grant, or null when cancelled. */
  ask(purpose, note = "") {
    return this.#show(purpose, "Type the PIN, then OK", note, this.#validate);
  }

  /** Have a new PIN typed, twice; resolves with its digits, or null when cancelled. */
  async choose() {
    const form = "4 to 12 digits, then OK";
    const first = await this.#show("New PIN", form, "", fits);
    return first && this.#show("The new PIN again", form, "", (pin) => same(pin, first));
  }

  #show(purpose, how, note, validate) {
    return new Promise((resolve) => {
      const pad = new Pad([purpose, how, note], {
        validate,
        lockedSeconds: () => this.#lockedSeconds(),
        lock: (seconds) => {
          const since = stopwatch();
          this.#lockedSeconds = () => seconds - since();
        },
        // A late answer to a pad that was cancelled closes that one, and no other.
        close: (grant) => {
          this.#layers.close(pad);
          pad.leave();
          resolve(grant);
        },
      });
      this.#layers.open(pad);
    });
  }
}

class Pad {
  idleMs = IDLE_MS;
  #pin = "";
  #busy = false;
  #locked = false; // not in a new pad: a new PIN ends it
  #timer = null;

  constructor([purpose, how, note], door) {
    this.door = door;
    this.dots = el("p", { class: "dots", "data-dots": 0, role: "status" });
    this.message = el("p", { class: "warning", "data-message": "", role: "alert" }, note);
    this.ok = button({ class: "key primary", "data-action": "submit" }, "OK", () => this.#submit());
    this.keys = keypad(DIGITS, (key) => this.#type(key), this.ok);
    const cancel = button({ class: "wide", "data-action": "cancel" }, "Cancel", () => this.cancel());
    const label = { class: "layer pinpad", "data-pinpad": "", role: "dialog", "aria-label": "PIN", tabindex: -1 };
    const title = [el("h2", {}, purpose), el("p", { class: "ask" }, how)];
    const said = el("div", { class: "said" }, ...title, this.dots, this.message);
    this.node = el("section", label, el("div", { class: "side" }, said, cancel), this.keys);
    this.#draw();
    this.#countDown();
  }

  cancel() {
    this.door.close(null);
  }

  /** It is gone for good, and with it what was typed. */
  leave() {
    clearTimeout(this.#timer);
    this.#pin = "";
  }

  key(name) {
    const key = keyFor(name, DIGITS);
    if (key) this.#type(key);
    if (name === "Enter") this.#submit();
    return Boolean(key) || name === "Enter";
  }

  get #closed() {
    return this.#busy || (this.#locked && this.door.lockedSeconds() > 0);
  }

  #type(key) {
    if (this.#closed) return;
    this.#pin = key === "back" ? this.#pin.slice(0, -1) : (this.#pin + key).slice(0, LONGEST_PIN);
    this.#draw();
  }

  #draw() {
    setText(this.dots, dots(this.#pin.length));
    setAttribute(this.dots, "data-dots", this.#pin.length);
    setAttribute(this.dots, "aria-label", plural(this.#pin.length, "digit"));
    for (const key of this.keys.children) key.disabled = this.#closed;
  }

  async #submit() {
    if (this.#closed || this.#pin === "") return;
    this.#busy = true;
    this.#draw();
    try {
      this.door.close(await this.door.validate(this.#pin));
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(error) {
    this.#busy = false;
    this.#pin = "";
    setText(this.message, refusal(error));
    if (error.status === 429) {
      this.#locked = true;
      this.door.lock(error.retryAfter ?? error.body.retry_after ?? LOCKED_WITHOUT_A_TIME_SECONDS);
    }
    this.#draw();
    this.#countDown();
  }

  #countDown() {
    clearTimeout(this.#timer);
    const left = this.door.lockedSeconds();
    if (left > 0) {
      setText(this.message, `Locked · try again in ${countdown(left)}`);
      this.#timer = setTimeout(() => this.#countDown(), 250);
    } else if (this.message.textContent.startsWith("Locked")) {
      setText(this.message, "");
    }
    this.#draw();
  }
}

/** A dot for each digit and a ring for the next; a long PIN ends in a count. */
function dots(digits) {
  const more = digits - DOTS_SHOWN;
  return more > 0 ? `${"●".repeat(DOTS_SHOWN)} +${more}` : `${"●".repeat(digits)}○`;
}

function fits(pin) {
  if (/^\d{4,12}$/.test(pin)) return pin;
  throw new Error("A PIN has 4 to 12 digits");
}

function same(pin, first) {
  if (pin === first) return pin;
  throw new Error("That was another PIN than before");
}

function refusal(error) {
  const left = error.body?.attempts_left;
  if (error.status !== 401 || !Number.isFinite(left)) return error.message;
  return `Wrong PIN · ${plural(left, "try", "tries")} left`;
}
