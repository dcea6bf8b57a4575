/** Opens the dialogs and gives each what it may do. */

import { api } from "./api.js";
import { Drawer } from "./drawer.js";
import { Cancelled } from "./session.js";

export class Dialogs {
  #parts;
  #watching = null;
  #opening = false;

  /** `parts` are the page's store, poller, layers, session, pinPad and strip. */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Show the dialog in front what a poll has brought. */
  update() {
    const { store } = this.#parts;
    const dialog = this.#watching;
    if (!(dialog instanceof Drawer)) return dialog?.update?.(store);
    const card = store.cards.find((each) => each.id === dialog.id);
    if (card) dialog.update(card, store.answer.market_open, store.offline);
    else dialog.cancel();
  }

  add() {
    return this.#orPoll(() => this.#add());
  }

  async #add() {
    const { session, layers, poller, strip } = this.#parts;
    await session.unlock("Add a card");
    const { AddDialog } = await import("./add.js");
    const dialog = new AddDialog({
      send: (card) => this.#change(`Add ${card.ticker}`, (token) => api.addCard(card, token)),
      suggest: api.assets,
      past: { start: api.startBacktest, look: api.backtest },
      close: async (id) => {
        layers.close(dialog);
        if (id === null) return;
        await poller.now();
        strip.reveal(document.querySelector(`[data-card="${CSS.escape(id)}"]`));
      },
    });
    layers.open(dialog);
    dialog.load(api.availableAlgorithms(), api.cash());
  }

  card(card) {
    const actions = {
      stop: (which, liquidate) => this.#stop(which, liquidate),
      resume: (which) => this.#change(`Let ${which.ticker} go on`, (token) => api.resume(which.id, token)),
      accept: (which) =>
        this.#change(`Accept the broker's ${which.ticker}`, (token) => api.accept(which.ticker, token)),
      change: (which) => this.#orPoll(() => this.#capital(which)),
    };
    const { store } = this.#parts;
    const sheet = new Drawer(card, { actions, close: () => this.#close(sheet) });
    sheet.update(card, store.answer.market_open, store.offline);
    this.#open(sheet);
    sheet.load(api);
  }

  menu() {
    return this.#orPoll(() => this.#menu());
  }

  async #menu() {
    const parts = await import("./menu.js");
    const { store } = this.#parts;
    const next = (open) => () => {
      this.#close(menu);
      this.#orPoll(open);
    };
    const actions = {
      stopAll: next(async () => this.#stopAll(parts)),
      report: next(() => this.#report()),
      changePin: next(() => this.#changePin(parts)),
      about: next(async () => this.#open(this.#closing((close) => new parts.About(store, { close })))),
    };
    const menu = this.#closing((close) => new parts.Menu(store, { actions, close }));
    this.#open(menu);
  }

  report() {
    return this.#orPoll(() => this.#report());
  }

  async #report() {
    const { Report } = await import("./report.js");
    const panel = this.#closing((close) => new Report(api.report, close));
    this.#open(panel);
    panel.load();
  }

  #stopAll({ StopAll }) {
    const { store, poller } = this.#parts;
    const stop = (liquidate) =>
      this.#change(`Stop all cards, ${liquidate ? "sell" : "keep"} the shares`, (token) => api.stopAll(liquidate, token));
    this.#open(this.#closing((close) => new StopAll(store, { stop, poll: () => poller.now(), close })));
  }

  async #changePin({ Note, notChanged }) {
    const { session, pinPad } = this.#parts;
    await session.unlock("Change the PIN");
    const pin = await pinPad.choose();
    if (!pin) return;
    const said = await session.run("Change the PIN", (token) => api.changePin(pin, token))
      .then(() => "The new PIN is in force.", notChanged);
    this.#open(this.#closing((close) => new Note("Change the PIN", said, close)));
    this.#parts.poller.now();
  }

  async #capital(card) {
    const { CapitalDialog } = await import("./capital.js");
    const send = (dollars) =>
      this.#change(`Change the capital of ${card.ticker}`, (token) => api.changeCapital(card.id, dollars, token));
    const dialog = new CapitalDialog(card, { send, close: () => this.#parts.layers.close(dialog) });
    this.#parts.layers.open(dialog);
    dialog.load(api.cash());
  }

  #stop(card, liquidate) {
    const purpose = `Stop ${card.ticker} ${card.algorithm_type}, ${liquidate ? "sell" : "keep"} its shares`;
    return this.#change(purpose, (token) => api.stopCard(card.id, liquidate, token));
  }

  /** Do what needs the PIN, and look at once what it did, also where it seems to have failed. */
  async #change(purpose, call) {
    try {
      return await this.#parts.session.run(purpose, call);
    } catch (error) {
      if (error.unanswered) error.message += ": see whether it was done before trying again";
      throw error;
    } finally {
      this.#parts.poller.now();
    }
  }

  /** A dialog that closes itself: `build(close)` makes it. */
  #closing(build) {
    const dialog = build(() => this.#close(dialog));
    return dialog;
  }

  #open(dialog) {
    this.#watching = dialog;
    this.#parts.layers.open(dialog);
  }

  #close(dialog) {
    this.#parts.layers.close(dialog);
    dialog.leave?.();
    if (this.#watching === dialog) this.#watching = null;
  }

  /** A part that cannot be fetched means a silent server: ask it, and the banner says so. */
  async #orPoll(open) {
    if (this.#opening) return; // a second tap before the first one's dialog is there
    this.#opening = true;
    try {
      await open();
    } catch (error) {
      if (!(error instanceof Cancelled)) this.#parts.poller.now();
    } finally {
      this.#opening = false;
    }
  }
}
