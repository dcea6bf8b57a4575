/** The entry: builds the parts and wires them; each part does its own work. */

import { ApiError, api, guard } from "./api.js";
import { Banner } from "./banner.js";
import { Bar } from "./bar.js";
import { Cards } from "./cards.js";
import { Dialogs } from "./dialogs.js";
import { setAttribute } from "./dom.js";
import { Layers } from "./layers.js";
import { Night } from "./night.js";
import { PinPad } from "./pinpad.js";
import { Poller } from "./polling.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { Strip } from "./strip.js";

const TICK_MS = 1000;

const find = (selector) => document.querySelector(selector);
const stripNode = find("[data-strip]");

const store = new Store();
const poller = new Poller(api.algorithms, store);
const layers = new Layers(find("[data-layers]"), find("[data-page]"));
const pinPad = new PinPad(layers, api.validatePin);
const session = new Session(pinPad);
guard(session);
const bar = new Bar(find(".bar"));
const banner = new Banner(find("[data-banner-slot]"));
const cards = new Cards(stripNode);
const strip = new Strip(stripNode, {
  prev: find("[data-action=prev]"), next: find("[data-action=next]"), position: find("[data-position]"),
});
const dialogs = new Dialogs({ store, poller, layers, session, pinPad, strip });
const night = new Night(find("[data-page]"), store);

let build = null;

/** Show what the store knows; where that fails part of it is old, and the page says so. */
function render() {
  try {
    bar.update(store);
    if (store.answer && cards.update(store.cards, store.answer.market_open)) strip.refresh();
    dialogs.update();
  } catch ({ message }) {
    store.failure = new ApiError(`figures are old, the new ones cannot be shown: ${message}`, { code: "not_shown" });
  }
  banner.update(store);
  dim();
  reloadWhenDue();
}

/** Old figures must not look live, on the wall or in a drawer over it. */
function dim() {
  setAttribute(document.body, "data-dim", store.offline ? "" : null);
}

/** A new server may have a new page, and a day is enough for one. It waits until nobody is in the middle of something. */
function reloadWhenDue() {
  const current = [store.answer?.health?.version, store.answer?.build].filter(Boolean).join(" ");
  if (!current) return;
  build ??= current;
  if ((current !== build || night.reloadDue) && layers.isEmpty) location.reload();
}

/** Ages grow and may turn into a banner without any answer. */
function tick() {
  setTimeout(tick, TICK_MS);
  bar.tick(store);
  banner.update(store);
  dim();
  night.tick();
  poller.tick();
}

/** The card an event happened on, if any. */
function cardOf(event) {
  const id = event.target.closest("[data-card]")?.dataset.card;
  return store.cards.find((card) => String(card.id) === id);
}

function onStripKey(event) {
  if (!layers.isEmpty) return;
  if (event.key === "ArrowRight") strip.step(1);
  else if (event.key === "ArrowLeft") strip.step(-1);
  else return;
  event.preventDefault();
}

function onCardKey(event) {
  const card = ["Enter", " "].includes(event.key) && cardOf(event);
  if (!card) return;
  event.preventDefault();
  dialogs.card(card);
}

find("[data-action=add]").addEventListener("click", () => dialogs.add());
find("[data-action=report]").addEventListener("click", () => dialogs.report());
find("[data-action=menu]").addEventListener("click", () => dialogs.menu());
stripNode.addEventListener("click", (event) => cardOf(event) && dialogs.card(cardOf(event)));
stripNode.addEventListener("keydown", onCardKey);
document.addEventListener("keydown", onStripKey);
document.addEventListener("contextmenu", (event) => event.preventDefault());
layers.addEventListener("empty", reloadWhenDue);
store.addEventListener("change", render);
store.addEventListener("schedule", () => bar.tick(store));
poller.start();
tick();
