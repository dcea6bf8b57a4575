/** The entry: builds the parts and wires them; each part does its own work. */

import { AddDialog } from "./add.js";
import { api } from "./api.js";
import { Banner } from "./banner.js";
import { Bar } from "./bar.js";
import { Cards } from "./cards.js";
import { Drawer } from "./drawer.js";
import { Layers } from "./layers.js";
import { PinPad } from "./pinpad.js";
import { Poller } from "./polling.js";
import { Cancelled, Session } from "./session.js";
import { Store } from "./store.js";
import { Strip } from "./strip.js";

const TICK_MS = 1000;

const find = (selector) => document.querySelector(selector);
const stripNode = find("[data-strip]");

const store = new Store();
const poller = new Poller(api.algorithms, store);
const layers = new Layers(find("[data-layers]"), find("[data-page]"));
const session = new Session(new PinPad(layers, api.validatePin));
const bar = new Bar(find(".bar"));
const banner = new Banner(find("[data-banner-slot]"));
const cards = new Cards(stripNode);
const strip = new Strip(stripNode, { prev: find("[data-action=prev]"), next: find("[data-action=next]") });

let drawer = null;
let build = null;

/** Show everything the store knows. */
function render() {
  bar.update(store);
  banner.update(store);
  cards.dim(store.offline);
  if (store.answer) cards.update(store.cards);
  strip.refresh();
  updateDrawer();
  reloadOnNewBuild();
}

function updateDrawer() {
  const card = drawer && store.cards.find((each) => each.id === drawer.id);
  if (card) drawer.update(card, store.answer.market_open);
  else drawer?.cancel();
}

/** A new server may have a new page. It waits until nobody is in the middle of something. */
function reloadOnNewBuild() {
  const current = [store.answer?.health?.version, store.answer?.build].filter(Boolean).join(" ");
  if (!current) return;
  build ??= current;
  if (current !== build && layers.isEmpty) location.reload();
}

/** Ages grow and may turn into a banner without any answer. */
function tick() {
  bar.tick(store);
  banner.update(store);
  cards.dim(store.offline);
  setTimeout(tick, TICK_MS);
}

async function openAdd() {
  await session.unlock("Add a card");
  const dialog = new AddDialog({
    send: (card) => session.run(`Add ${card.ticker}`, (token) => api.addCard(card, token)),
    close: async (id) => {
      layers.close(dialog);
      if (id === null) return;
      await poller.now();
      strip.reveal(find(`[data-card="${CSS.escape(id)}"]`));
    },
  });
  layers.open(dialog);
  dialog.load(api.availableAlgorithms(), api.cash());
}

function openDrawer(card) {
  const sheet = new Drawer(card, {
    stop: stopCard,
    close: () => {
      layers.close(sheet);
      if (drawer === sheet) drawer = null;
    },
  });
  drawer = sheet;
  sheet.update(card, store.answer.market_open);
  layers.open(sheet);
  sheet.load(api.transactions(card.id));
}

async function stopCard(card, liquidate) {
  const purpose = `Stop ${card.ticker} ${card.algorithm_type}, ${liquidate ? "sell" : "keep"} its shares`;
  await session.run(purpose, (token) => api.stopCard(card.id, liquidate, token));
  poller.now();
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
  openDrawer(card);
}

find("[data-action=add]").addEventListener("click", () => openAdd().catch(ignoreCancelled));
stripNode.addEventListener("click", (event) => cardOf(event) && openDrawer(cardOf(event)));
stripNode.addEventListener("keydown", onCardKey);
document.addEventListener("keydown", onStripKey);
document.addEventListener("contextmenu", (event) => event.preventDefault());
layers.addEventListener("empty", reloadOnNewBuild);
store.addEventListener("change", render);
store.addEventListener("schedule", () => bar.tick(store));
poller.start();
tick();

function ignoreCancelled(error) {
  if (!(error instanceof Cancelled)) throw error;
}
