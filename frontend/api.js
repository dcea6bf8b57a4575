/** The one door to the server. Every failure leaves as an ApiError with a sentence to show. */

const TIMEOUT_MS = 10_000;

export class ApiError extends Error {
  constructor(message, { status = 0, code = "unreachable", body = {}, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, body, retryAfter });
  }

  /** True when no answer came: what was asked for may have happened all the same. */
  get unanswered() {
    return this.status === 0;
  }
}

async function request(method, path, { body, token, signal } = {}) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  signal?.addEventListener("abort", () => abort.abort());
  try {
    const response = await fetch(`api/${path}`, {
      method,
      headers: headersFor(method, token),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: abort.signal,
    });
    return await read(response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("The server does not answer");
  } finally {
    clearTimeout(timer);
  }
}

function headersFor(method, token) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  return headers;
}

async function read(response) {
  const text = await response.text();
  const body = parsed(text);
  if (response.ok && body) return body;
  throw new ApiError(body?.error ?? `The server answered ${response.status}`, {
    status: response.status,
    code: body?.code ?? "unexpected_answer",
    body: body ?? {},
    retryAfter: Number(response.headers.get("Retry-After")) || null,
  });
}

/** The object in a JSON text; null for anything else. */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** What reading needs where it needs the PIN too, on the network: {pass(), admit(pass)}. */
let door = { pass: () => null, admit: async () => false };

/** Let a session hold the token that reading may need. */
export function guard(session) {
  door = session;
}

/** Read. Where the server asks for the PIN, so does the page; closed without it, the refusal stands. */
async function get(path, signal) {
  for (;;) {
    const token = door.pass();
    try {
      return await request("GET", path, { token, signal });
    } catch (error) {
      if (error.code !== "pin_required" || !(await door.admit(token))) throw error;
    }
  }
}

/** The cards and the market. An answer without a list is a failure: an empty wall would be a lie. */
async function algorithms(signal) {
  const answer = await get("algorithms", signal);
  if (Array.isArray(answer.algorithms)) return answer;
  throw new ApiError("The server answered without cards", { status: 200, code: "unexpected_answer" });
}

/** The part of an address after "?", without what is null or undefined; empty when nothing is left. */
function asked(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const api = {
  algorithms,
  transactions: (id, query) => get(`algorithms/${id}/transactions${asked(query)}`),
  decisions: (id, query) => get(`algorithms/${id}/decisions${asked(query)}`),
  equity: (id) => get(`algorithms/${id}/equity`),
  bars: (ticker, limit) => get(`bars/${encodeURIComponent(ticker)}${asked({ limit })}`),
  availableAlgorithms: () => get("available-algorithms"),
  assets: (typed) => get(`assets${asked({ q: typed })}`),
  report: (day) => get(`report${asked({ day })}`),
  cash: () => get("account/cash"),
  startBacktest: (card) => request("POST", "backtests", { body: card, token: door.pass() }),
  backtest: (id) => get(`backtests/${id}`),
  validatePin: (pin) => request("POST", "validate-pin", { body: { pin } }),
  addCard: (card, token) => request("POST", "algorithms", { body: card, token }),
  stopCard: (id, liquidate, token) => request("DELETE", `algorithms/${id}?liquidate=${liquidate}`, { token }),
  stopAll: (liquidate, token) => request("POST", "stop-all", { body: { liquidate }, token }),
  resume: (id, token) => request("POST", `algorithms/${id}/resume`, { body: {}, token }),
  accept: (ticker, token) => request("POST", `positions/${encodeURIComponent(ticker)}/accept`, { body: {}, token }),
  changeCapital: (id, dollars, token) =>
    request("PATCH", `algorithms/${id}`, { body: { initial_capital: dollars }, token }),
  changePin: (pin, token) => request("PUT", "pin", { body: { pin }, token }),
};
