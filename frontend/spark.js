/** A card's day as a line: inline SVG, stretched to the room the card has. */

const SVG = "http://www.w3.org/2000/svg";
const TOP = 4;
const BOTTOM = 96;
const TICK = 11;
// Between the line and its ticks
const CLEAR = 5;
// Points are five minutes apart: a trade just before the first or after the last belongs too.
const STEP_MS = 300_000;

function svgElement(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const setPath = (node, d) => {
  if (node.getAttribute("d") !== d) node.setAttribute("d", d);
};

const same = (a, b) =>
  a.length === b.length && a.every(([minute, what], index) => minute === b[index][0] && what === b[index][1]);

export class Spark {
  #drawn = [[], null, []];

  constructor() {
    this.node = svgElement("svg", {
      class: "spark", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true",
    });
    this.area = svgElement("path", { class: "spark-area", d: "" });
    this.base = svgElement("path", { class: "spark-base", d: "" });
    this.line = svgElement("path", { class: "spark-line", d: "" });
    this.last = svgElement("path", { class: "spark-last", d: "" });
    this.buys = svgElement("path", { class: "spark-buys", d: "" });
    this.sells = svgElement("path", { class: "spark-sells", d: "" });
    this.node.append(this.area, this.base, this.line, this.last, this.buys, this.sells);
  }

  /**
   * Draw `[[minute, value], …]` with a dotted line where the card would break even, and `[[minute, "buy" or
   * "sell"], …]` as ticks: a buy stands under the line, a sell over it.
   */
  update(items, breakEven, marks) {
    const [itemsDrawn, breakEvenDrawn, marksDrawn] = this.#drawn;
    if (breakEven === breakEvenDrawn && same(items, itemsDrawn) && same(marks, marksDrawn)) return;
    this.#drawn = [items, breakEven, marks];
    const drawing = draw(items, breakEven, marks);
    for (const [name, path] of Object.entries(drawing)) setPath(this[name], path);
  }
}

/** The paths in a box of 100 by 100; with fewer than two points only where it breaks even. */
export function draw(items, breakEven, marks) {
  const points = items
    .map(([minute, value]) => [Date.parse(minute), value])
    .filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value));
  if (points.length < 2) return { area: "", base: "M0 50H100", line: "", last: "", buys: "", sells: "" };

  const x = across(points);
  const [y, baseline] = upright(points.map(([, value]) => value), breakEven);
  const path = points.map(([at, value]) => `${round(x(at))} ${round(y(value))}`);
  const floor = baseline ?? BOTTOM + TOP;
  const end = path.at(-1);
  const within = marks
    .map(([minute, type]) => [Date.parse(minute), type])
    .filter(([at]) => at >= points[0][0] - STEP_MS && at <= points.at(-1)[0] + STEP_MS)
    .map(([at, type]) => [type, Math.min(Math.max(x(at), 0), 100), y(valueAt(points, at))]);
  return {
    line: `M${path.join("L")}`,
    area: `M${round(x(points[0][0]))} ${floor}L${path.join("L")}L${end.split(" ")[0]} ${floor}Z`,
    base: baseline === null ? "" : `M0 ${baseline}H100`,
    last: `M${end}h.01`,
    buys: ticks(within, "buy", (height) => `${round(Math.min(height + CLEAR, 100 - TICK))}v${TICK}`),
    sells: ticks(within, "sell", (height) => `${round(Math.max(height - CLEAR, TICK))}v-${TICK}`),
  };
}

const ticks = (marks, kind, from) =>
  marks.map(([type, x, y]) => (type === kind ? `M${round(x)} ${from(y)}` : "")).join("");

/** The line's value at a time, straight between its points. */
function valueAt(points, at) {
  const next = points.findIndex(([time]) => time >= at);
  if (next <= 0) return points.at(next)[1];
  const [[before, low], [after, high]] = [points[next - 1], points[next]];
  return low + ((high - low) * (at - before)) / (after - before);
}

function across(points) {
  const first = points[0][0];
  const width = Math.max(points.at(-1)[0] - first, 1);
  return (at) => (100 * (at - first)) / width;
}

/** Scale for the values, and where break-even is in it: null when too far off to show. */
function upright(values, breakEven) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  const range = high - low;
  const near = breakEven >= low - range && breakEven <= high + range;
  if (near) {
    low = Math.min(low, breakEven);
    high = Math.max(high, breakEven);
  }
  const y = (value) => (high === low ? 50 : BOTTOM - ((BOTTOM - TOP) * (value - low)) / (high - low));
  return [y, near ? round(y(breakEven)) : null];
}

const round = (value) => Math.round(value * 100) / 100;
