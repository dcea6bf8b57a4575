/** What is wrong, worst first, and the one line that says so. */

import { stateOf } from "./cards.js";
import { el, setAttribute, setText } from "./dom.js";
import { localTime, span } from "./format.js";

// Worst first. A health part not named here ranks in the middle, one that is down first.
const RANKS = [
  "offline", "page", "locked", "trader-stopped", "clock", "broker", "ledger", "databases", "data-old", "data",
  "card-frozen", "card-paused", "disk", "backups", "notifications", "deadman", "calendar-ended", "pin",
];
const UNNAMED_RANK = RANKS.indexOf("card-frozen") - 0.5;
const GRAVE = ["offline", "page", "trader-stopped", "ledger", "databases"];
const FAILURES = {
  pin_required: "locked", ledger_gone: "ledger", database_damaged: "databases", foreign_contents: "databases", not_shown: "page",
};
const TITLES = { clock: "clock not set", orchestrator: "trader" };

/** A problem's heading. */
export function titleOf({ kind }) {
  return (TITLES[kind] ?? kind.replaceAll("-", " ")).toUpperCase();
}

/** Every present problem as {kind, message}, worst first. */
export function problems(store) {
  const found = [...offline(store), ...unwell(store.answer?.health), ...held(store.cards), ...ended(store)];
  return found.sort((a, b) => rank(a) - rank(b));
}

function rank({ kind, down }) {
  const place = RANKS.indexOf(kind);
  return (place < 0 ? UNNAMED_RANK : place) - (down && kind !== "pin" ? 0.25 : 0);
}

function offline(store) {
  if (!store.offline) return [];
  const kind = FAILURES[store.failure?.code] ?? "offline";
  if (!store.answer || !["offline", "locked"].includes(kind)) return [{ kind, message: store.failure.message }];
  const ago = store.age < 60 ? "under a minute ago" : `${span(store.age)} ago`;
  return [{ kind, message: `last data ${localTime(store.receivedAt)}, ${ago}` }];
}

function unwell(health) {
  return Object.entries(health?.parts ?? {})
    .filter(([, part]) => part?.status !== "ok")
    .map(([name, part]) => {
      const down = part?.status === "down";
      const kind = name === "orchestrator" && down ? "trader-stopped" : name;
      return { kind, message: part?.message ?? "", down };
    });
}

function held(cards) {
  return ["frozen", "paused"].flatMap((state) => {
    const those = cards.filter((card) => stateOf(card) === state);
    if (!those.length) return [];
    const why = those.length === 1 && those[0].state_reason ? ` · ${those[0].state_reason}` : "";
    const tickers = [...new Set(those.map((card) => card.ticker))].join(", ");
    return [{ kind: `card-${state}`, message: `not trading: ${tickers}${why}` }];
  });
}

function ended({ answer }) {
  if (!answer?.market || answer.market_open || answer.market.next_open !== null) return [];
  return [{ kind: "calendar-ended", message: "no session is left: the market is closed for good" }];
}

export class Banner {
  #slot;
  #node = null;

  constructor(slot) {
    this.#slot = slot;
  }

  update(store) {
    const [worst, ...others] = problems(store);
    if (!worst) {
      this.#node?.remove();
      this.#node = null;
      return;
    }
    if (!this.#node) this.#build();
    setAttribute(this.#node, "data-banner", worst.kind);
    setAttribute(this.#node, "data-grave", GRAVE.includes(worst.kind) ? "" : null);
    setText(this.kind, titleOf(worst));
    setText(this.message, worst.message);
    setText(this.more, others.length ? `+${others.length} more` : "");
  }

  #build() {
    this.kind = el("strong");
    this.message = el("span", { class: "message" });
    this.more = el("span", { class: "more" });
    this.#node = el("div", { class: "banner", role: "alert" }, "⚠", this.kind, this.message, this.more);
    this.#slot.append(this.#node);
  }
}
