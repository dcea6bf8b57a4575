/** A button for what cannot be taken back: it acts once it was held for a second. */

import { el, setAttribute } from "./dom.js";

export const HOLD_MS = 1000;

const KEYS = ["Enter", " "];

/** `onHeld()` after a second under a finger or a key; `onTap()` when it was let go before. */
export function holdButton(attributes, { onHeld, onTap }, ...children) {
  const node = el("button", { type: "button", ...attributes }, ...children);
  node.classList.add("hold");
  let timer = null;

  const end = () => {
    clearTimeout(timer);
    timer = null;
    setAttribute(node, "data-holding", null);
  };
  const begin = () => {
    if (timer !== null || node.disabled) return;
    setAttribute(node, "data-holding", "");
    timer = setTimeout(() => {
      end();
      // A poll may have taken it from under the finger.
      if (node.checkVisibility() && !node.disabled) onHeld();
    }, HOLD_MS);
  };
  const letGo = () => {
    if (timer === null) return;
    end();
    onTap();
  };

  node.addEventListener("pointerdown", (event) => event.button === 0 && event.isPrimary && begin());
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) node.addEventListener(name, letGo);
  node.addEventListener("keydown", (event) => {
    if (!KEYS.includes(event.key)) return;
    event.preventDefault();
    if (!event.repeat) begin();
  });
  node.addEventListener("keyup", (event) => KEYS.includes(event.key) && letGo());
  return node;
}
