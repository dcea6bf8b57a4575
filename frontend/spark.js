/** A card's day as a line: own inline SVG, stretched to whatever room the card has. */

const SVG = "http://www.w3.org/2000/svg";
const TOP = 4;
const BOTTOM = 96;
const FLOOR = 100;
const TICK = 14;
// A line has a point every five minutes: a trade just before its first or after its last belongs to it.
const STEP_MS = 300_000;

function svgElement(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const setPath = (node, d) => {
  if (node.getAttribute("d") !== d) node.setAttribute("d", d);
};

export class Spark {
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
   * Draw `[[minute, value], …]` with a dashed line where the card would break even, and `[[minute,
   * "buy" or "sell"], …]` as ticks: buys stand on the floor, sells hang from the top.
   */
  update(items, breakEven, marks) {
    const drawing = draw(items ?? [], breakEven);
    setPath(this.buys, ticks(items ?? [], marks ?? [], "buy"));
    setPath(this.sells, ticks(items ?? [], marks ?? [], "sell"));
    setPath(this.area, drawing.area);
    setPath(this.base, drawing.base);
    setPath(this.line, drawing.line);
    setPath(this.last, drawing.last);
  }
}

/** A path of one tick for each mark of a kind that lies within the line. */
export function ticks(items, marks, kind) {
  if (items.length < 2) return "";
  const times = items.map(([minute]) => Date.parse(minute));
  const x = across(times.map((at) => [at]));
  const y = kind === "buy" ? `${FLOOR}v-${TICK}` : `0v${TICK}`;
  return marks
    .map(([minute, type]) => [Date.parse(minute), type])
    .filter(([at, type]) => type === kind && at >= times[0] - STEP_MS && at <= times.at(-1) + STEP_MS)
    .map(([at]) => `M${round(Math.min(Math.max(x(at), 0), 100))} ${y}`)
    .join("");
}

/** The four paths in a box of 100 by 100. Empty with fewer than two usable points. */
export function draw(items, breakEven) {
  const points = items
    .map(([minute, value]) => [Date.parse(minute), value])
    .filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value));
  if (points.length < 2) return { area: "", base: "", line: "", last: "" };

  const x = across(points);
  const [y, baseline] = upright(points.map(([, value]) => value), breakEven);
  const path = points.map(([at, value]) => `${round(x(at))} ${round(y(value))}`);
  const floor = baseline ?? BOTTOM + TOP;
  const end = path.at(-1);
  return {
    line: `M${path.join("L")}`,
    area: `M${round(x(points[0][0]))} ${floor}L${path.join("L")}L${end.split(" ")[0]} ${floor}Z`,
    base: baseline === null ? "" : `M0 ${baseline}H100`,
    last: `M${end}h.01`,
  };
}

function across(points) {
  const first = points[0][0];
  const width = Math.max(points.at(-1)[0] - first, 1);
  return (at) => (100 * (at - first)) / width;
}

/** Scale for the values, and where break-even lies in it: null when that is too far off to show. */
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
