/**
 * Text messages, both ways: JSON objects with a `type`. The names of the fields are the wire's.
 *
 * Unknown fields are ignored, unknown types are mistakes.
 */

import { BadMessage } from "./errors.js";
import type { TradeId } from "./u64.js";

/** What can be asked of a symbol. v1 has "price" only. */
export type StreamKind = "price" | "quote" | "trade" | "candle" | "enigma" | "compact";

/** One line of the dictionary. */
export interface SymbolEntry {
  id: number;
  symbol: string;
  /** The market that lists it: `binance`, `binance-usdm` … */
  venue: string;
  price_precision: number;
  quantity_precision: number;
  /** With its exchange, unique: `BINANCE:BTCUSDT`. */
  name: string;
  /** From a simulated exchange: to be said wherever its price is shown. */
  simulated: boolean;
}

export interface Subscribe {
  type: "subscribe";
  symbols: string[];
  kinds: StreamKind[];
  /** With "trade": the last id that is known of a symbol. */
  since?: { [symbol: string]: TradeId };
  /** With "candle". */
  intervals?: string[];
  /** With "candle": the version up to which these are known. */
  since_us?: number;
}

export type ClientMessage =
  | Subscribe
  | { type: "unsubscribe"; symbols: string[] }
  | { type: "auth"; session_token: string }
  | { type: "market_watch_add" | "market_watch_remove" | "market_watch_order"; symbols: string[] }
  | { type: "ping" }
  | { type: "pong" };

/** Something in a message was refused; the rest of it was served. */
export interface ErrorMessage {
  type: "error";
  code: string;
  message: string;
  symbols: string[];
  intervals: string[];
}

export interface AuthConfirmed {
  type: "auth_confirmed";
  user: string;
  /** Patterns over full names; none: every symbol. */
  symbols_allowed: string[];
}

export type WatchNews =
  | { type: "market_watch_subscribe"; symbols: string[] }
  | { type: "auto_subscribe"; data: { symbol: string } }
  | { type: "auto_unsubscribe"; data: { symbol: string } };

export type ServerMessage =
  | { type: "symbols"; symbols: SymbolEntry[] }
  | ErrorMessage
  | AuthConfirmed
  | WatchNews
  | { type: "ping" }
  | { type: "pong" };

/** Write a message as JSON. Ids beyond 2^53 are written with all their digits. */
export function formatMessage(message: ClientMessage): string {
  if (message.type !== "subscribe" || message.since === undefined) {
    return JSON.stringify(message);
  }
  const { since, ...rest } = message;
  const ids = Object.entries(since).map(([symbol, id]) => `${JSON.stringify(symbol)}:${id}`);
  return `${JSON.stringify(rest).slice(0, -1)},"since":{${ids.join(",")}}}`;
}

/** Parse what the gateway sent. Throws BadMessage, never anything else. */
export function parseServerMessage(text: string): ServerMessage {
  const message = parseObject(text);
  switch (message.type) {
    case "symbols":
      return { type: "symbols", symbols: listOf(message.symbols, readEntry) };
    case "error":
      return {
        type: "error",
        code: readText(message.code),
        message: readText(message.message),
        symbols: listOf(message.symbols ?? [], readText),
        intervals: listOf(message.intervals ?? [], readText),
      };
    case "auth_confirmed": {
      const symbols_allowed = listOf(message.symbols_allowed ?? [], readText);
      return { type: "auth_confirmed", user: readText(message.user ?? ""), symbols_allowed };
    }
    case "market_watch_subscribe":
      return { type: "market_watch_subscribe", symbols: listOf(message.symbols, readText) };
    case "auto_subscribe":
    case "auto_unsubscribe":
      return { type: message.type, data: { symbol: readText(readObject(message.data).symbol) } };
    case "ping":
    case "pong":
      return { type: message.type };
    default:
      throw new BadMessage(`no such message: ${JSON.stringify(message.type)}`);
  }
}

type Parsed = Record<string, unknown>;

function parseObject(text: string): Parsed {
  try {
    return readObject(JSON.parse(text));
  } catch (error) {
    throw error instanceof BadMessage ? error : new BadMessage("a text message is not JSON");
  }
}

function readObject(value: unknown): Parsed {
  if (typeof value !== "object" || value === null) {
    throw new BadMessage("a text message is no object, or lacks one");
  }
  return value as Parsed;
}

function readText(value: unknown): string {
  if (typeof value !== "string") {
    throw new BadMessage(`${JSON.stringify(value)} is no text`);
  }
  return value;
}

function listOf<T>(value: unknown, read: (one: unknown) => T): T[] {
  if (!Array.isArray(value)) {
    throw new BadMessage(`${JSON.stringify(value)} is no list`);
  }
  return value.map(read);
}

function readEntry(value: unknown): SymbolEntry {
  const entry = readObject(value);
  const id = readWhole(entry.id, 1, 65_535);
  const symbol = readText(entry.symbol);
  return {
    id,
    symbol,
    venue: readText(entry.venue),
    price_precision: readWhole(entry.price_precision, 0, 100),
    quantity_precision: readWhole(entry.quantity_precision ?? 8, 0, 100),
    name: readText(entry.name ?? symbol),
    simulated: entry.simulated === true,
  };
}

function readWhole(value: unknown, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw new BadMessage(`${JSON.stringify(value)} is no whole number from ${least} to ${most}`);
  }
  return value as number;
}
