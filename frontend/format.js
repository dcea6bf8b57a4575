/** Figures and times as the wall shows them. Pure functions: no DOM, no clock. */

const MINUS = "\u2212";
const DASH = "\u2013";
const EXCHANGE_ZONE = "America/New_York";
const GLYPHS = { profit: "▲", loss: "▼", even: "■" };

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// The one formatter of the browser's own: making one costs a slow machine more than ten cards.
let exchangeClock = null;

/** Half a cent decides: what shows as 0.00 is neither profit nor loss. */
export function outcomeOf(pnl) {
  if (!Number.isFinite(pnl) || Math.abs(pnl) < 0.005) return "even";
  return pnl > 0 ? "profit" : "loss";
}

export function glyphOf(pnl) {
  return Number.isFinite(pnl) ? GLYPHS[outcomeOf(pnl)] : "?";
}

function signOf(amount) {
  return { profit: "+", loss: MINUS, even: "" }[outcomeOf(amount)];
}

/** At most six characters, to be read across the room: +5.81, −1205, +12.3k, +1.25M. */
export function compact(amount) {
  if (!Number.isFinite(amount)) return DASH;
  const size = Math.abs(amount);
  const steps = [
    [99.995, 1, 2, ""], [9999.5, 1, 0, ""],
    [99950, 1e3, 1, "k"], [999500, 1e3, 0, "k"],
    [9.995e6, 1e6, 2, "M"], [99.95e6, 1e6, 1, "M"],
  ];
  const [, unit, digits, suffix] = steps.find(([limit]) => size < limit) ?? [0, 1e6, 0, "M"];
  return signOf(amount) + (size / unit).toFixed(digits) + suffix;
}

/** A plain number with thousands marks: 10,581.25. */
export function number(amount, digits = 2) {
  if (!Number.isFinite(amount)) return DASH;
  const [whole, part] = Math.abs(amount).toFixed(digits).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? `.${part}` : "");
  return (amount < 0 && /[1-9]/.test(text) ? MINUS : "") + text;
}

/** The gain or loss with its sign, exact unless told otherwise: +1,042.35. */
export function signed(amount, digits = 2) {
  return Number.isFinite(amount) ? signOf(amount) + number(Math.abs(amount), digits) : DASH;
}

/** Decimals of a price: below a dollar hundredths of a cent count. */
export const decimals = (price) => (price < 1 ? 4 : 2);

/** A price, zero where none is known. */
export const price = (amount) => dollars(amount > 0 ? amount : NaN, decimals(amount));

export function dollars(amount, digits = 2) {
  if (!Number.isFinite(amount)) return DASH;
  const text = number(amount, digits);
  return text.startsWith(MINUS) ? `${MINUS}$${text.slice(1)}` : `$${text}`;
}

/** Capital is typed in whole dollars, so cents show only where there are any. */
export function capital(amount) {
  return dollars(amount).replace(/\.00$/, "");
}

export function percent(pnl, of) {
  if (!Number.isFinite(pnl) || !(of > 0)) return DASH;
  return `${signOf(pnl)}${number(Math.abs((100 * pnl) / of))}%`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count, 0)} ${count === 1 ? one : many}`;
}

/** Milliseconds since 1970 of a UTC stamp; NaN where there is none. */
export function instant(stamp) {
  return stamp ? Date.parse(stamp) : NaN;
}

const two = (value) => String(value).padStart(2, "0");

/** Wall time where the reader is: 14:30:02. */
export function localTime(at) {
  return Number.isFinite(at) ? `${localMinute(at)}:${two(new Date(at).getSeconds())}` : DASH;
}

/** Wall time where the reader is, to the minute: 14:30. */
export function localMinute(at) {
  if (!Number.isFinite(at)) return DASH;
  const time = new Date(at);
  return `${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** Day and wall time where the reader is: 2 Jan, 14:30. */
export function localDayTime(at) {
  if (!Number.isFinite(at)) return DASH;
  const time = new Date(at);
  return `${time.getDate()} ${MONTHS[time.getMonth()]}, ${localMinute(at)}`;
}

/** {weekday, day, month, hour, minute} of a stamp in New York; null where there is none. */
function inNewYork(stamp) {
  if (!Number.isFinite(instant(stamp))) return null;
  exchangeClock ??= new Intl.DateTimeFormat("en-GB", {
    weekday: "short", day: "numeric", month: "numeric", hour: "2-digit", minute: "2-digit", timeZone: EXCHANGE_ZONE,
  });
  return Object.fromEntries(exchangeClock.formatToParts(instant(stamp)).map(({ type, value }) => [type, value]));
}

/** Market time without its label: 09:30. */
export function marketTime(stamp) {
  const time = inNewYork(stamp);
  return time ? `${time.hour}:${time.minute}` : DASH;
}

/** Day of the market: Tue 2 Jan. */
export function marketDay(stamp) {
  const time = inNewYork(stamp);
  return time ? `${time.weekday} ${Number(time.day)} ${MONTHS[time.month - 1]}` : DASH;
}

/** Day and time of the market: Tue 2 Jan 10:42 ET. */
export function marketDayTime(stamp) {
  return Number.isFinite(instant(stamp)) ? `${marketDay(stamp)} ${marketTime(stamp)} ET` : DASH;
}

/** The next open, with its date once a weekday alone could be mistaken: Mon 09:30 ET. */
export function nextOpenTime(stamp, now) {
  const farOff = instant(stamp) - instant(now) > 6 * 86_400_000;
  return farOff ? marketDayTime(stamp) : `${inNewYork(stamp)?.weekday ?? ""} ${marketTime(stamp)} ET`;
}

/** A span in its two largest useful units: 18 s, 9 min, 3 h 05, 2 days. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) {
    return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}`;
  }
  return plural(Math.floor(whole / 86_400), "day");
}

/** A countdown: 0:29. */
export function countdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
