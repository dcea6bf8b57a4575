/** Keys drawn on the screen: a kiosk has no keyboard, and a focused input would call for one. */

import { button, el } from "./dom.js";

export const DIGITS = [..."123456789", "back", "0"];
export const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ", ".", "back"];

/** A grid of keys; `onKey` gets "0".."9", "A".."Z", "." or "back". */
export function keypad(keys, onKey, ...more) {
  const drawn = keys.map((key) => button(attributesOf(key), key === "back" ? "⌫" : key, () => onKey(key)));
  return el("div", { class: "keys" }, ...drawn, ...more);
}

function attributesOf(key) {
  return { class: "key", "data-key": key, "aria-label": key === "back" ? "Delete the last one" : null };
}

/** The key that a real keyboard's key stands for among `keys`, or null. */
export function keyFor(name, keys) {
  const key = name === "Backspace" ? "back" : name.toUpperCase();
  return keys.includes(key) ? key : null;
}
