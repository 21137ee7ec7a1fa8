/**
 * What the page remembers in this browser, and tells the other tabs: one key for each thing.
 *
 * Where a browser stores nothing (private windows, full disks), it is remembered until the page is closed.
 */

const PREFIX = "tickgate.";

export interface Preferences {
  /** Followed by the system, unless it was chosen. */
  theme: "system" | "dark" | "light";
  zone: "local" | "UTC";
  symbol: string;
  interval: string;
  isLogarithmic: boolean;
  indicators: readonly string[];
  /** The list of whoever is not logged in. */
  watchlist: readonly string[];
  /** Who logged in here last, for the other tabs to hear; who is logged in now only the gateway knows. */
  user: string;
  /** A session where there can be no cookie: the page is not of the gateway's own host. */
  token: string;
}

/** What whoever comes for the first time sees. */
export const DEFAULT_WATCHLIST = [
  "BTCUSDT",
  "ETHUSDT",
  "SOLUSDT",
  "BNBUSDT",
  "XRPUSDT",
  "DOGEUSDT",
  "ADAUSDT",
  "TRXUSDT",
  "LINKUSDT",
  "AVAXUSDT",
  "SUIUSDT",
  "LTCUSDT",
  "DOTUSDT",
  "BCHUSDT",
  "UNIUSDT",
  "NEARUSDT",
  "APTUSDT",
  "PEPEUSDT",
];

const DEFAULTS: Preferences = {
  theme: "system",
  zone: "local",
  symbol: "BTCUSDT",
  interval: "1m",
  isLogarithmic: false,
  indicators: ["ema"],
  watchlist: DEFAULT_WATCHLIST,
  user: "",
  token: "",
};

type Name = keyof Preferences;

/** What this browser would not store. */
const held = new Map<Name, unknown>();

export function read<Key extends Name>(name: Key): Preferences[Key] {
  try {
    const text = localStorage.getItem(PREFIX + name);
    const value: unknown = held.has(name) ? held.get(name) : text === null ? undefined : JSON.parse(text);
    return isLike(value, DEFAULTS[name]) ? value : DEFAULTS[name];
  } catch {
    return (held.get(name) as Preferences[Key] | undefined) ?? DEFAULTS[name];
  }
}

export function remember<Key extends Name>(name: Key, value: Preferences[Key]): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    held.delete(name);
  } catch {
    held.set(name, value);
  }
}

/** Call a function when another tab changes one of these. */
export function onChanged(name: Name, listener: () => void): void {
  addEventListener("storage", (event) => {
    if (event.key === PREFIX + name) {
      listener();
    }
  });
}

/** What an earlier page, or somebody by hand, has written there is believed only if it could be ours. */
function isLike<Value>(value: unknown, example: Value): value is Value & {} {
  if (Array.isArray(example)) {
    return Array.isArray(value) && value.every((one) => typeof one === "string");
  }
  return typeof value === typeof example;
}
