import { describe, expect, test } from "vitest";
import { encodeV1, encodeV2, type KindName, LAYOUTS, sealAgain } from "../bench/encode.js";
import {
  type BaseFrame,
  Bases,
  type CompactFrame,
  decodeV1,
  decodeV2,
  type Frame,
  Kind,
  PriceColumns,
  type PriceFrame,
  ProtocolError,
} from "../src/frames.js";
import { bytesOf, inCamelCase, VECTORS } from "./vectors.js";

const TIME_US = 1_790_000_000_123_456;

describe("golden frames", () => {
  test.each(VECTORS.v1)("v1: $name", ({ hex, records }) => {
    const frame = decodeV1(bytesOf(hex));
    expect(frame.rows()).toEqual(records.map(inCamelCase));
  });

  test.each(VECTORS.v2)("v2: $name", ({ hex, kind, time_us, records }) => {
    const frame = decodeV2(bytesOf(hex));
    expect(frame.kind).toBe(Kind[kind as KindName]);
    expect(String(frame.timeUsExactly())).toBe(time_us);
    expect(frame.timeUs).toBe(Number(time_us));
    expect(rowsAsVectors(frame)).toEqual(records.map(inCamelCase).map(asRead));
  });

  test.each(VECTORS.compact)("compact: $name", ({ frames }) => {
    const bases = new Bases();
    for (const { hex, prices, error } of frames) {
      const frame = decodeV2(bytesOf(hex));
      if (frame.kind === Kind.BASE) {
        bases.update(frame);
      } else if (frame.kind !== Kind.COMPACT) {
        throw new Error("another kind");
      } else if (error !== undefined) {
        expect(() => bases.columns(frame)).toThrow(expect.objectContaining({ name: error }));
      } else {
        expect(rowsOf(bases.columns(frame))).toEqual(prices?.map(inCamelCase));
      }
    }
  });

  const refused = VECTORS.bad.filter(({ reader }) => reader === "v1" || reader === "v2");
  test.each(refused)("$reader refuses $name: $error", ({ reader, hex, error }) => {
    const decode = reader === "v1" ? decodeV1 : decodeV2;
    expect(() => decode(bytesOf(hex))).toThrow(expect.objectContaining({ name: error }));
  });
});

/** The vectors write 64-bit numbers as text: ids are exact here too, times are rounded beyond 2^53. */
function asRead(record: { [name: string]: number | string }): { [name: string]: number | string } {
  const { count, ...rest } = record;
  const named = Object.entries(rest).map(([name, value]) => [
    name,
    /Us$|Ms$/.test(name) ? Number(value) : value,
  ]);
  const read = Object.fromEntries(named) as { [name: string]: number | string };
  return count === undefined ? read : { ...read, tradesJoined: count };
}

function rowsAsVectors(frame: Frame): { [name: string]: number | string }[] {
  return frame.rows().map((row) => {
    const named = Object.entries(row).map(([name, value]) => [
      name,
      /^(id|firstId|lastId)$/.test(name) ? String(value) : value,
    ]);
    return Object.fromEntries(named) as { [name: string]: number | string };
  });
}

function rowsOf({ count, symbolId, price, volume }: PriceColumns): object[] {
  return Array.from({ length: count }, (_, i) => ({
    symbolId: symbolId[i],
    price: price[i],
    volume: volume[i],
  }));
}

describe("damage", () => {
  const frames = [
    { name: "v1", decode: decodeV1, frame: encodeV1([{ symbolId: 7, price: 1.5, volume: 2 }]) },
    ...(Object.keys(LAYOUTS) as KindName[]).map((kind) => ({
      name: kind,
      decode: decodeV2,
      frame: encodeV2(
        kind,
        [
          { symbolId: 7, interval: 1 },
          { symbolId: 8, interval: 5 },
        ],
        TIME_US,
      ),
    })),
  ];

  test.each(frames)("any flipped bit of a $name frame is caught", ({ decode, frame }) => {
    decode(frame); // whole it is right
    for (let bit = 0; bit < frame.byteLength * 8; bit++) {
      const damaged = new Uint8Array(frame.slice(0));
      damaged[bit >>> 3] ^= 1 << (bit & 7);
      expect(() => decode(damaged.buffer), `bit ${bit}`).toThrow(ProtocolError);
    }
  });

  test.each(frames)("a $name frame that is cut, or goes on, is refused", ({ decode, frame }) => {
    for (let length = 0; length < frame.byteLength; length++) {
      expect(() => decode(frame.slice(0, length)), `${length} bytes`).toThrow(ProtocolError);
    }
    const longer = new Uint8Array(frame.byteLength + 8);
    longer.set(new Uint8Array(frame));
    expect(() => decode(longer.buffer)).toThrow(ProtocolError);
  });

  test("garbage throws nothing but ProtocolError, with a right CRC too", () => {
    const random = randomBytes(1);
    for (let round = 0; round < 3_000; round++) {
      const garbage = random(round % 120);
      for (const decode of [decodeV1, decodeV2]) {
        expectOnlyOurErrors(() => decode(garbage));
        if (garbage.byteLength > 8) {
          const bytes = new Uint8Array(garbage);
          bytes.set([2, 1 + (round % 8)], 6);
          bytes[4] = (garbage.byteLength - 16) / 24;
          bytes[5] = 0;
          expectOnlyOurErrors(() => decode(sealAgain(garbage)));
        }
      }
    }
  });
});

function expectOnlyOurErrors(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
  }
}

describe("what a reader gets", () => {
  const rows = [
    { symbolId: 1, flags: 0x0301, delayUs: -5, price: 64_250.01, volume: 12.5 },
    { symbolId: 65_535, flags: 0, delayUs: 7, price: 0, volume: 0 },
  ];
  const frame = encodeV2("PRICE", rows, TIME_US);

  test("rows, columns and single fields say the same", () => {
    const decoded = decodeV2(frame);
    expect(decoded.rows()).toEqual(rows);
    if (decoded.kind !== Kind.PRICE) {
      throw new Error("another kind");
    }
    expect([...decoded.column("price")]).toEqual([64_250.01, 0]);
    expect([...decoded.column("delayUs")]).toEqual([-5, 7]);
    expect(decoded.price(0)).toBe(64_250.01);
    expect([decoded.changes(0), decoded.changes(1)]).toEqual([3, 1]);
    expect([decoded.isFromReceipt(0), decoded.isFromReceipt(1)]).toEqual([true, false]);
  });

  test("columns are read into those of an earlier frame, longer or shorter, from frames of all prices", () => {
    const columns = new PriceColumns();
    const [one, two] = rows.map(({ symbolId, price, volume }) => ({ symbolId, price, volume }));
    const bases = new Bases();
    const base = { symbolId: 1, priceDigits: 2, volumeDigits: 1, price: 6_425_000, volume: 0 };
    bases.update(decodeV2(encodeV2("BASE", [base], TIME_US)) as BaseFrame);
    const compact = encodeV2("COMPACT", [{ symbolId: 1, price: 1, volume: 125 }], TIME_US);

    expect(rowsOf(decodeV1(encodeV1([one])).columns(columns))).toEqual([one]);
    expect(rowsOf((decodeV2(frame) as PriceFrame).columns(columns))).toEqual([one, two]);
    const { price } = columns;
    expect(rowsOf(bases.columns(decodeV2(compact) as CompactFrame, columns))).toEqual([one]);
    expect(columns.price).toBe(price);
  });

  test("bases are forgotten for a new connection", () => {
    const bases = new Bases();
    const compact = decodeV2(encodeV2("COMPACT", [{ symbolId: 9 }], TIME_US)) as CompactFrame;
    bases.update(decodeV2(encodeV2("BASE", [{ symbolId: 9, price: 5, volume: 6 }], TIME_US)) as BaseFrame);
    expect(rowsOf(bases.columns(compact))).toEqual([{ symbolId: 9, price: 5, volume: 6 }]);
    bases.clear();
    expect(() => bases.columns(compact)).toThrow("no BASE has come for symbol id 9");
  });

  test("nothing is copied: the frame reads where the bytes arrived", () => {
    const decoded = decodeV2(frame) as PriceFrame;
    expect(decoded.f64.buffer).toBe(frame);
    expect(decoded.f64[2 + 3 * 0 + 1]).toBe(64_250.01);
  });

  test("a part of a buffer is read too, wherever it begins", () => {
    for (const offset of [0, 1, 6, 8]) {
      const around = new Uint8Array(frame.byteLength + 16);
      around.set(new Uint8Array(frame), offset);
      expect(decodeV2(around.subarray(offset, offset + frame.byteLength)).rows()).toEqual(rows);
    }
  });

  test("a float of the upper end is an amount, and minus zero is none", () => {
    const largest = encodeV2("PRICE", [{ symbolId: 1, price: Number.MAX_VALUE }], TIME_US);
    expect(decodeV2(largest).rows()).toMatchObject([{ price: Number.MAX_VALUE }]);
    const negative = encodeV2("PRICE", [{ symbolId: 1, volume: -0 }], TIME_US);
    expect(() => decodeV2(negative)).toThrow("volume cannot be");
  });
});

function randomBytes(seed: number): (length: number) => ArrayBuffer {
  let state = seed;
  return (length) =>
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }).buffer;
}
