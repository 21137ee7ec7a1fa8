// The page: a table of live prices, and the truth about the stream.
import { Stream } from "./wire.js";

const MAX_ROWS = 50, RELIST_MS = 3_000, STALE_MS = 5_000, OLD_MS = 10_000, FLASH_MS = 500, AGES_KEPT = 2_000;
const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let symbols = []; // what /api/v1/symbols lists
let entries = new Map(); // id -> dictionary line of this connection
const rows = new Map(); // name -> row on the page
const dirty = new Set();
let refused = new Set();
let down = null, openedAt = 0, heardAt = 0;
let frames = 0, bytes = 0, jsonBytes = 0, samples = [];
const ages = [];

// Numbers

const numberFormats = new Map();
function digits(value, places) {
  if (!numberFormats.has(places)) numberFormats.set(places, new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places }));
  return numberFormats.get(places).format(value);
}
const compact = new Intl.NumberFormat("en", { notation: "compact", minimumSignificantDigits: 4, maximumSignificantDigits: 4 });
const milliseconds = (us) => (us === undefined ? "–" : `${digits(us / 1000, Math.abs(us) < 100_000 ? 1 : 0)} ms`);
const since = (ms) => (ms < 1000 ? "now" : ms < 60_000 ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`);

// Microseconds of this computer's clock. performance.now() stands still while some computers sleep,
// so its origin is taken again whenever a connection opens.
let originMs = performance.timeOrigin;
const nowUs = () => (originMs + performance.now()) * 1000;
function setClock() {
  const measured = Date.now() - performance.now();
  originMs = Math.abs(measured - performance.timeOrigin) < 5 ? performance.timeOrigin : measured;
}

// The table

function makeRow(symbol) {
  const tr = document.createElement("tr");
  const cells = Array.from({ length: 7 }, (_, place) => {
    const td = tr.insertCell();
    if ([2, 3, 5].includes(place)) td.className = "wide";
    td.textContent = "–";
    return td;
  });
  const venue = document.createElement("small");
  venue.textContent = symbol.venue;
  const label = document.createElement("span");
  label.className = "simulated";
  label.textContent = "SIMULATED";
  label.hidden = true;
  const priceText = document.createElement("span");
  cells[0].replaceChildren(symbol.symbol, venue, label);
  cells[1].replaceChildren(priceText);
  return { symbol, tr, cells, label, priceText, price: null, quote: null, shown: null, newestUs: 0, changes: 0, rate: 0 };
}

function showRows() {
  const words = $("search").value.trim().toUpperCase().split(/\s+/);
  // Whatever is shown is watched, and so carried: without a search, only what has a price anyway.
  const found = symbols.filter((one) => (words[0] ? words.every((word) => `${one.name} ${one.venue}`.toUpperCase().includes(word)) : one.carried));
  const shown = found.slice(0, MAX_ROWS);
  for (const one of shown) if (!rows.has(one.name)) rows.set(one.name, makeRow(one));
  const names = new Set(shown.map((one) => one.name));
  for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
  $("rows").replaceChildren(...shown.map((one) => rows.get(one.name).tr));
  stream.watch([...names]);
  const simulated = new Set(symbols.map((one) => one.simulated));
  $("simulated").hidden = !simulated.has(true);
  for (const row of rows.values()) row.label.hidden = !(row.symbol.simulated && simulated.size > 1);
  $("note").textContent = !symbols.length ? "The gateway lists no symbols yet."
    : !found.length ? (words[0] ? "No symbol matches." : "No symbol has a price yet.")
    : found.length > MAX_ROWS ? `The first ${MAX_ROWS} of ${found.length.toLocaleString("en")}: search to see others.`
    : !words[0] && found.length < symbols.length ? `${symbols.length.toLocaleString("en")} symbols are listed: search to see others.` : "";
}

function draw() {
  for (const row of dirty) {
    const { cells, priceText, price, quote, symbol: { price_precision: places } } = row;
    if (price) {
      const way = row.shown === null || price.price === row.shown ? "" : price.price > row.shown ? "up" : "down";
      priceText.textContent = digits(price.price, places);
      cells[4].textContent = compact.format(price.volume);
      if (way) {
        priceText.className = way;
        if (!calm.matches) priceText.animate({ backgroundColor: [`var(--${way}-flash)`, "transparent"] }, FLASH_MS);
      }
      row.shown = price.price;
    }
    if (quote) [cells[2].textContent, cells[3].textContent] = [digits(quote.bid, places), digits(quote.ask, places)];
  }
  dirty.clear();
}

// The stream

const stream = new Stream(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/ws`, {
  open() {
    [down, openedAt, heardAt, entries, refused] = [null, Date.now(), 0, new Map(), new Set()];
    setClock();
    listSymbols();
  },
  symbols({ symbols: introduced }) {
    for (const entry of introduced) entries.set(entry.id, entry);
  },
  error({ symbols: names }) {
    for (const name of names) refused.add(name);
  },
  frame({ kind, records }, length) {
    const now = nowUs();
    [frames, bytes, heardAt] = [frames + 1, bytes + length, Date.now()];
    for (const record of records) {
      const entry = entries.get(record.id);
      if (!entry) throw new Error(`symbol id ${record.id} was never introduced`);
      const { id, ...told } = record;
      jsonBytes += JSON.stringify({ symbol: entry.symbol, ...told }).length;
      const row = rows.get(entry.name);
      if (!row) continue; // on its way when the search changed
      const field = kind === 1 ? "price" : "quote";
      if (row[field]) ages.push(now - record.sentUs); // the first one is as old as the last change
      row[field] = record;
      row.newestUs = Math.max(row.newestUs, record.sentUs);
      row.changes += record.changes;
      if (!dirty.size) requestAnimationFrame(draw);
      dirty.add(row);
    }
    if (ages.length > AGES_KEPT) ages.splice(0, ages.length - AGES_KEPT);
  },
  down(why) {
    down = why;
    showState();
  },
});

let listing = 0;
async function listSymbols() {
  clearTimeout(listing);
  const before = symbols.filter((one) => one.carried).length;
  try {
    const answer = await fetch("/api/v1/symbols");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    symbols = (await answer.json()).filter((one) => one.is_active);
    showRows();
  } catch (error) {
    $("note").textContent = `No list of symbols: ${error.message}`;
  }
  const carried = symbols.filter((one) => one.carried).length; // while more get their first price, look again
  if (!carried || carried > before) listing = setTimeout(listSymbols, RELIST_MS * (0.5 + Math.random()));
}

// The truth about it

function state() {
  const now = Date.now();
  if (down?.forGood) return ["down", `refused: ${down.reason || down.code}`];
  if (!navigator.onLine) return ["down", "this computer is offline"];
  if (down) return ["down", `reconnecting in ${Math.max(Math.ceil((down.retryAt - now) / 1000), 0)} s${down.reason ? `: ${down.reason}` : ""}`];
  if (!openedAt) return ["wait", "connecting"];
  if (!heardAt) return ["wait", "connected, nothing heard yet"];
  return now - heardAt < STALE_MS ? ["live", "live"] : ["wait", `stale, silent for ${since(now - heardAt)}`];
}

function showState() {
  const [kind, text] = state();
  document.body.dataset.state = kind;
  if ($("state").textContent !== text) $("state").textContent = text;
}

const BARS = 25, bars = Array.from({ length: BARS }, () => $("histogram").appendChild(document.createElement("i")));

function showLatency() {
  const sorted = ages.toSorted((a, b) => a - b), at = (share) => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)];
  $("p50").textContent = at(0.5) < 0 ? "clocks differ" : milliseconds(at(0.5));
  $("p99").textContent = milliseconds(at(0.99));
  const counts = new Array(BARS).fill(0); // five bars a decade, from 0.1 ms to 10 s
  for (const us of ages) counts[Math.min(Math.max(Math.floor(5 * Math.log10(Math.max(us, 1) / 100)), 0), BARS - 1)]++;
  const most = Math.max(...counts, 1);
  bars.forEach((bar, place) => (bar.style.height = `${(100 * counts[place]) / most}%`));
}

function everySecond() {
  const now = performance.now();
  samples = [...samples.slice(-3), { now, frames, bytes, jsonBytes }];
  const [first, seconds] = [samples[0], (now - samples[0].now) / 1000];
  if (seconds > 0) {
    const rate = (bytes - first.bytes) / seconds, json = (jsonBytes - first.jsonBytes) / seconds;
    $("messages").textContent = digits((frames - first.frames) / seconds, 0);
    $("bytes").textContent = `${digits(rate / 1000, 1)} kB/s`;
    $("json").textContent = rate ? `as JSON ${digits(json / 1000, 1)} kB/s, ${digits(json / rate, 1)} ×` : "as JSON –";
  }
  for (const row of rows.values()) {
    row.rate += (row.changes - row.rate) * 0.4; // a short moving average of changes a second
    row.changes = 0;
    const ageMs = (nowUs() - row.newestUs) / 1000;
    row.cells[5].textContent = digits(row.rate, 1);
    row.cells[6].textContent = row.newestUs ? since(ageMs) : refused.has(row.symbol.name) ? "not served" : "–";
    row.tr.className = row.newestUs && ageMs > OLD_MS ? "old" : "";
  }
  showState();
  showLatency();
}

let typing = 0;
$("search").addEventListener("input", () => {
  clearTimeout(typing); // a subscription a keystroke would be too many messages
  typing = setTimeout(showRows, 200);
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== $("search")) {
    event.preventDefault();
    $("search").select();
  } else if (event.key === "Escape") {
    $("search").value = "";
    $("search").blur();
    showRows();
  }
});

stream.open();
setInterval(everySecond, 1000);
