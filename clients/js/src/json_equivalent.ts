/**
 * The JSON that would say what a frame says: the measure for how much smaller a frame is, and how much faster read.
 *
 * It is what a gateway would send that speaks JSON: an object a record, every field by its name, flags as
 * booleans, the interval and the source of a bar as words, numbers with as many digits as they have. Of the frame
 * it has the type and, where the frame states one, the time. The symbol is its name, which whoever reads a frame
 * has from the dictionary.
 */

import type { Frame } from "./frames.js";
import type { BaseFrame, Bases } from "./frames_compact.js";
import { FrameV1 } from "./frames_v1.js";
import { Kind } from "./frames_v2.js";
import { intervalOfMinutes } from "./intervals.js";
import type { PriceColumns } from "./price_columns.js";

type NameOf = (symbolId: number) => string;

const TYPES = {
  [Kind.PRICE]: "price",
  [Kind.QUOTE]: "quote",
  [Kind.TRADE]: "trade",
  [Kind.CANDLE]: "candle",
  [Kind.ENIGMA]: "enigma",
  [Kind.GAP]: "gap",
  [Kind.COMPACT]: "price",
} as const;

/** Write a frame as JSON; a compact one takes the bases that it counts from. */
export function jsonEquivalent(frame: Frame | FrameV1, nameOf: NameOf, bases?: Bases): string {
  if (frame instanceof FrameV1) {
    const data = frame.rows().map(({ symbolId, ...fields }) => ({ symbol: nameOf(symbolId), ...fields }));
    return JSON.stringify({ type: "price", data });
  }
  if (frame.kind === Kind.BASE) {
    return ""; // JSON has no need of it
  }
  const prices = frame.kind === Kind.COMPACT ? bases?.columns(frame) : undefined;
  const data = Array.from({ length: frame.count }, (_, i) =>
    recordOf(frame, i, nameOf(frame.symbolId(i)), prices),
  );
  return JSON.stringify({ type: TYPES[frame.kind], timeUs: frame.timeUs, data }, digitsOfIds);
}

function recordOf(
  frame: Exclude<Frame, BaseFrame>,
  i: number,
  symbol: string,
  prices: PriceColumns | undefined,
): object {
  switch (frame.kind) {
    case Kind.COMPACT:
      return { symbol, price: prices?.price[i], volume: prices?.volume[i] };
    case Kind.PRICE:
    case Kind.QUOTE:
    case Kind.ENIGMA: {
      const { symbolId: _, flags: __, ...fields } = frame.row(i);
      return { symbol, ...fields, changes: frame.changes(i), fromReceipt: frame.isFromReceipt(i) };
    }
    case Kind.TRADE: {
      const { symbolId: _, flags: __, ...fields } = frame.row(i);
      return { symbol, ...fields, takerSold: frame.takerSold(i), recovered: frame.isRecovered(i) };
    }
    case Kind.CANDLE: {
      const { symbolId: _, flags: __, ...fields } = frame.row(i);
      const interval = intervalOfMinutes(fields.interval);
      return { symbol, ...fields, interval, final: frame.isFinal(i), source: frame.source(i) };
    }
    case Kind.GAP: {
      const { symbolId: _, ...fields } = frame.row(i);
      return { symbol, ...fields };
    }
  }
}

/** JSON knows no bigint: such an id is written as text. */
function digitsOfIds(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
