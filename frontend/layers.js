/** Dialogs over the page: one in front at a time, the others out of the document until it goes. */

export class Layers extends EventTarget {
  #host;
  #page;
  #stack = [];
  #timer = null;
  #focusBefore = null;
  #panned = false;

  /** `host` takes the dialog in front; `page` is inert while there is one. */
  constructor(host, page) {
    super();
    this.#host = host;
    this.#page = page;
    document.addEventListener("keydown", (event) => this.#onKey(event));
    host.addEventListener("pointerdown", () => this.#restartIdle());
  }

  get isEmpty() {
    return this.#stack.length === 0;
  }

  /** A layer has `node`, `idleMs`, `cancel()` and, for a keyboard, `key(name)` that returns true if used. */
  open(layer) {
    this.#panLists();
    if (this.isEmpty) this.#focusBefore = document.activeElement;
    this.#stack.push(layer);
    this.#show();
  }

  close(layer) {
    const before = this.#stack.length;
    this.#stack = this.#stack.filter((each) => each !== layer);
    if (this.#stack.length === before) return;
    this.#show();
    if (this.isEmpty) {
      this.#focusBefore?.focus({ preventScroll: true });
      this.dispatchEvent(new Event("empty"));
    }
  }

  /** From the first dialog on; without the server lists are scrolled by finger, wheel and key all the same. */
  async #panLists() {
    if (this.#panned) return;
    this.#panned = true;
    try {
      const { panByMouse } = await import("./pan.js");
      panByMouse(this.#host, "[data-scrolls]");
    } catch {
      this.#panned = false;
    }
  }

  #show() {
    const top = this.#stack.at(-1);
    this.#page.inert = Boolean(top);
    this.#host.replaceChildren(...(top ? [top.node] : []));
    top?.node.focus({ preventScroll: true });
    this.#restartIdle();
  }

  /** A dialog that nobody touches must not hide the wall for ever. */
  #restartIdle() {
    clearTimeout(this.#timer);
    const top = this.#stack.at(-1);
    if (top) this.#timer = setTimeout(() => top.cancel(), top.idleMs);
  }

  #onKey(event) {
    const top = this.#stack.at(-1);
    if (!top || event.ctrlKey || event.metaKey || event.altKey) return;
    this.#restartIdle();
    if (event.key === "Escape") top.cancel();
    else if (this.#presses(event) || !top.key?.(event.key)) return;
    event.preventDefault();
  }

  /** Enter and space on a button are the button's own. */
  #presses(event) {
    return ["Enter", " "].includes(event.key) && event.target.closest("button") !== null;
  }
}
