/** Moving along the strip: native swipe, a mouse drag in its place, buttons and arrow keys. */

import { setAttribute } from "./dom.js";

const DRAG_STARTS_PX = 8;
// How far a flick carries on, in milliseconds of its last speed.
const FLICK_MS = 180;

export class Strip {
  #node;
  #drag = null;

  constructor(node, { prev, next, position }) {
    this.#node = node;
    this.buttons = { prev, next };
    this.position = position;
    prev.addEventListener("click", () => this.page(-1));
    next.addEventListener("click", () => this.page(1));
    // A tapped card has the focus too, but nothing may move under the finger.
    node.addEventListener("focusin", ({ target }) => target.matches(":focus-visible") && this.reveal(target));
    node.addEventListener("scroll", () => this.refresh(), { passive: true });
    new ResizeObserver(() => this.refresh()).observe(node);
    this.#listenToMouse();
  }

  /** Show the buttons only where there is something to move to. */
  refresh() {
    const { scrollLeft, scrollWidth, clientWidth } = this.#node;
    const room = scrollWidth - clientWidth;
    setAttribute(this.buttons.prev, "hidden", room <= 1 ? "" : null);
    setAttribute(this.buttons.next, "hidden", room <= 1 ? "" : null);
    setAttribute(this.buttons.prev, "disabled", scrollLeft <= 1 ? "" : null);
    setAttribute(this.buttons.next, "disabled", scrollLeft >= room - 1 ? "" : null);
    this.#showPosition(room > 1, scrollLeft / scrollWidth, clientWidth / scrollWidth);
  }

  /** A line under the cards: which part of the strip is in view. */
  #showPosition(needed, from, part) {
    setAttribute(this.position, "hidden", needed ? null : "");
    const inset = `0 ${(100 * (1 - from - part)).toFixed(2)}% 0 ${(100 * from).toFixed(2)}%`;
    if (needed && this.position.dataset.at !== inset) {
      this.position.dataset.at = inset;
      this.position.firstChild.style.inset = inset;
    }
  }

  /** Move by as many cards as fit. */
  page(direction) {
    this.#moveBy(direction * this.#whole());
  }

  /** An arrow key: the focus moves when a card has it, else the strip moves by one card. */
  step(direction) {
    const focused = this.#node.contains(document.activeElement) ? document.activeElement : null;
    if (!focused) return this.#moveBy(direction);
    const beside = direction > 0 ? focused.nextElementSibling : focused.previousElementSibling;
    beside?.focus({ preventScroll: true });
  }

  /** Bring a card wholly into view, by as little as it takes, to a card's edge. */
  reveal(card) {
    const index = [...this.#node.children].indexOf(card);
    const first = this.#first();
    const last = first + this.#whole() - 1;
    if (index >= 0 && index < first) this.#moveBy(index - first);
    if (index > last) this.#moveBy(index - last);
  }

  #pitch() {
    const [first, second] = this.#node.children;
    return second ? second.offsetLeft - first.offsetLeft : this.#node.clientWidth;
  }

  /** How many cards are wholly in view. */
  #whole() {
    return Math.max(1, Math.floor(this.#node.clientWidth / this.#pitch()));
  }

  /** The index of the card at the left edge. */
  #first() {
    return Math.round(this.#node.scrollLeft / this.#pitch());
  }

  #moveBy(cards) {
    this.#node.scrollTo({ left: (this.#first() + cards) * this.#pitch(), behavior: smoothness() });
  }

  #listenToMouse() {
    const node = this.#node;
    node.addEventListener("pointerdown", (event) => this.#press(event));
    node.addEventListener("pointermove", (event) => this.#move(event));
    node.addEventListener("pointerup", () => this.#release());
    node.addEventListener("pointercancel", () => this.#release());
    // A native drag of text or picture would cancel the pointer.
    node.addEventListener("dragstart", (event) => event.preventDefault());
  }

  #press(event) {
    if (event.pointerType === "touch" || event.button !== 0) return;
    this.#drag = { x: event.clientX, left: this.#node.scrollLeft, moved: false, speed: 0, last: event };
  }

  #move(event) {
    const drag = this.#drag;
    if (!drag) return;
    if (!drag.moved && Math.abs(event.clientX - drag.x) < DRAG_STARTS_PX) return;
    if (!drag.moved) {
      drag.moved = true;
      // Captured, the click that ends the drag goes to the strip, not to a card under it.
      this.#node.setPointerCapture(event.pointerId);
      setAttribute(this.#node, "data-dragging", "");
    }
    const elapsed = Math.max(event.timeStamp - drag.last.timeStamp, 1);
    drag.speed = (drag.last.clientX - event.clientX) / elapsed;
    drag.last = event;
    this.#node.scrollLeft = drag.left + drag.x - event.clientX;
  }

  /** Carry a flick on to the nearest card, then let scroll-snap hold it. */
  #release() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.moved) return;
    const pitch = this.#pitch();
    const aim = Math.round((this.#node.scrollLeft + drag.speed * FLICK_MS) / pitch) * pitch;
    const settle = () => setAttribute(this.#node, "data-dragging", null);
    const still = Math.abs(this.#clamped(aim) - this.#node.scrollLeft) < 1;
    if (still) settle();
    else this.#node.addEventListener("scrollend", settle, { once: true });
    this.#node.scrollTo({ left: aim, behavior: smoothness() });
  }

  #clamped(left) {
    return Math.min(Math.max(left, 0), this.#node.scrollWidth - this.#node.clientWidth);
  }
}

function smoothness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}
