/** The drawer's charts, by TradingView Lightweight Charts. Loaded only when a drawer opens. */

import { el, setText } from "./dom.js";
import { decimals, number } from "./format.js";

const LIBRARY = "lightweight-charts.js";
const PROFIT = "#00e676";
const LOSS = "#ff5252";
const SHORT = "#ffd400";
const LONG = "#82b1ff";
const SOLD = "#4dd0e1";
const DASHED = 2;
const SESSION_MINUTES = 390;
// More arrows than these with their shares would only hide the candles.
const MOST_LABELS = 12;

const newYork = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York", hourCycle: "h23",
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
});
const offsets = new Map();

let loading = null;

/** The library's global, loaded once; a failure is tried again the next time. */
export function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = el("script", { src: LIBRARY });
    script.onload = () => (window.LightweightCharts ? resolve(window.LightweightCharts) : script.onerror());
    script.onerror = () => {
      script.remove();
      loading = null;
      reject(new Error("chart unavailable"));
    };
    document.head.append(script);
  });
  return loading;
}

/** Seconds of New York's wall clock as if it were UTC: the library knows no time zones. */
export function easternSeconds(stamp) {
  const day = stamp.slice(0, 10);
  const at = Date.parse(stamp);
  // The zone changes on Sundays at night: one offset serves a day of trading.
  if (!offsets.has(day)) {
    const part = Object.fromEntries(newYork.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    const wall = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute);
    offsets.set(day, wall - Math.floor(at / 60_000) * 60_000);
  }
  return (at + offsets.get(day)) / 1000;
}

/** The lengths of the averages to draw: the algorithm's own where it declares short and long. */
export function lengths({ parameters = {} }) {
  const length = (value, usual) => (Number.isInteger(value) && value > 0 ? value : usual);
  return { short: length(parameters.short, 20), long: length(parameters.long, 50) };
}

/** How many bars a session's averages need, those before its open included. */
export function barsNeeded(card) {
  return Math.min(SESSION_MINUTES + lengths(card).long, 2000);
}

/** The bars of the newest session among `bars`, oldest first. */
export function newestSession(bars) {
  const last = bars.at(-1)?.timestamp.slice(0, 10);
  return bars.filter(({ timestamp }) => timestamp.slice(0, 10) === last);
}

/** The simple moving average at each bar that has enough bars before it: [[stamp, value], …]. */
export function average(bars, length) {
  const found = [];
  let sum = 0;
  bars.forEach(({ timestamp, close }, index) => {
    sum += close - (index >= length ? bars[index - length].close : 0);
    if (index >= length - 1) found.push([timestamp, sum / length]);
  });
  return found;
}

const points = (pairs) => pairs.map(([stamp, value]) => ({ time: easternSeconds(stamp), value }));

class Chart {
  constructor(made, node, describe) {
    this.made = made;
    this.legend = el("p", { class: "legend" });
    this.plot = el("div", { class: "plot", "data-chart": "", role: "img", "aria-label": describe });
    node.append(this.legend, this.plot);
    const { fontFamily, fontSize } = getComputedStyle(this.legend);
    const line = { color: "#262626" };
    this.chart = made.createChart(this.plot, {
      autoSize: true,
      layout: {
        attributionLogo: false, background: { color: "#000" }, textColor: "#ddd", fontFamily, fontSize: parseFloat(fontSize),
      },
      grid: { vertLines: line, horzLines: line },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, fixLeftEdge: true, fixRightEdge: true },
      // The whole of it, always: nobody scrolls a wall back.
      handleScroll: false,
      handleScale: false,
    });
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.plot);
  }

  fit() {
    this.chart.timeScale().fitContent();
  }

  remove() {
    this.resized.disconnect();
    this.chart.remove();
  }
}

export class CandleChart extends Chart {
  constructor(made, node) {
    super(made, node, "Candles of the session");
    const plain = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, lineWidth: 2 };
    // Hollow up and filled down: not the colour alone tells them apart.
    this.candles = this.chart.addSeries(made.CandlestickSeries, {
      upColor: "#000", borderUpColor: PROFIT, wickUpColor: PROFIT,
      downColor: LOSS, borderDownColor: LOSS, wickDownColor: LOSS, priceLineColor: "#fff",
    });
    this.short = this.chart.addSeries(made.LineSeries, { ...plain, color: SHORT });
    this.long = this.chart.addSeries(made.LineSeries, { ...plain, color: LONG, lineStyle: DASHED });
    this.marks = made.createSeriesMarkers(this.candles, []);
    this.names = { short: el("span", { class: "short" }), long: el("span", { class: "long" }) };
    this.legend.append("1 min, ET", this.names.short, this.names.long, "▲ buy", el("span", { class: "sold" }, "▼ sell"));
  }

  show(card, bars, transactions) {
    const session = newestSession(bars);
    const from = session[0]?.timestamp ?? "";
    const { short, long } = lengths(card);
    const within = (length) => points(average(bars, length).filter(([stamp]) => stamp >= from));
    const precision = decimals(session.at(-1)?.close);
    this.candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    this.candles.setData(session.map(({ timestamp, ...bar }) => ({ time: easternSeconds(timestamp), ...bar })));
    this.short.setData(within(short));
    this.long.setData(within(long));
    this.marks.setMarkers(markers(session, transactions));
    setText(this.names.short, `━ SMA ${short}`);
    setText(this.names.long, `┅ SMA ${long}`);
    this.fit();
  }
}

/** Arrows at the bars in whose minute something was traded, or the last before it, oldest first. */
export function markers(session, transactions) {
  const day = session.at(-1)?.timestamp.slice(0, 10);
  // The first trade of a day may be there before its first bar; a correction is no trade.
  const traded = transactions.filter(({ timestamp, label }) => !label && timestamp.slice(0, 10) === day);
  const found = traded.flatMap(({ type, shares, timestamp }) => {
    const bar = session.findLast((each) => each.timestamp <= timestamp);
    return bar ? [{ ...arrow(type), time: easternSeconds(bar.timestamp), text: number(shares, 0) }] : [];
  });
  if (found.length > MOST_LABELS) found.forEach((mark) => delete mark.text);
  return found.reverse();
}

function arrow(type) {
  return type === "buy"
    ? { position: "belowBar", shape: "arrowUp", color: "#fff" }
    : { position: "aboveBar", shape: "arrowDown", color: SOLD };
}

export class EquityChart extends Chart {
  constructor(made, node) {
    super(made, node, "What the card was worth");
    this.line = this.chart.addSeries(made.BaselineSeries, {
      lineWidth: 2, priceLineVisible: false, topLineColor: PROFIT, bottomLineColor: LOSS,
      topFillColor1: "#00e67640", topFillColor2: "#00e67608", bottomFillColor1: "#ff525208", bottomFillColor2: "#ff525240",
    });
    this.capital = this.line.createPriceLine({ price: 0, color: "#999", lineStyle: DASHED, lineWidth: 1, axisLabelVisible: true });
    this.legend.append("worth, days at their close, then minutes, ET", el("span", {}, "┅ capital"));
  }

  show(card, items) {
    this.line.applyOptions({ baseValue: { type: "price", price: card.initial_capital } });
    this.capital.applyOptions({ price: card.initial_capital });
    this.line.setData(points(items));
    this.fit();
  }
}
