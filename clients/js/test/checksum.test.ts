import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { crc32, nativeChecksum, wasmChecksum } from "../src/checksum.js";
import { crc32ByTables } from "../src/checksum_tables.js";

const CHECK = 0xcbf43926; // of the digits 1 to 9, as every catalogue of CRCs states it
const DIGITS = new TextEncoder().encode("123456789");
const WAYS = { "in use": crc32, wasm: wasmChecksum(), zlib: nativeChecksum(), tables: crc32ByTables };

afterEach(() => vi.unstubAllGlobals());

describe.each(Object.entries(WAYS))("%s", (_, way) => {
  test("gives the published check value", () => {
    expect(way?.(DIGITS)).toBe(CHECK);
  });

  test("agrees with the plain definition for every length", () => {
    const bytes = Uint8Array.from({ length: 400 }, (_, at) => at * 37);
    for (let length = 0; length < bytes.length; length++) {
      const some = bytes.subarray(1, 1 + length);
      expect(way?.(some)).toBe(bitByBit(some));
      expect(way?.(some, length >>> 2)).toBe(bitByBit(some.subarray(length >>> 2)));
    }
  });

  test("takes the longest frame, and a short one after it", () => {
    const longest = Uint8Array.from({ length: 16 + 65_535 * 72 }, (_, at) => at ^ (at >>> 7));
    expect(way?.(longest)).toBe(crc32ByTables(longest));
    expect(way?.(DIGITS)).toBe(CHECK);
  });
});

test("where WebAssembly is missing, or the page forbids it, there is the other way", () => {
  vi.stubGlobal("WebAssembly", undefined);
  expect(wasmChecksum()).toBeUndefined();
  vi.stubGlobal("WebAssembly", {
    Module: class {
      constructor() {
        throw new Error("unsafe-eval is not allowed here");
      }
    },
  });
  expect(wasmChecksum()).toBeUndefined();
});

test("the module is what its script writes", () => {
  const script = fileURLToPath(new URL("../scripts/checksum_wasm.mjs", import.meta.url));
  execFileSync(process.execPath, [script, "--check"]);
});

function bitByBit(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return ~crc >>> 0;
}
