/**
 * The checksum of a frame, as fast as this machine allows.
 *
 * - WebAssembly wherever it may run (scripts/checksum_wasm.mjs). A page may forbid it (a Content-Security-Policy
 *   without 'wasm-unsafe-eval'), and an old browser may not know its vectors.
 * - Else Node's own zlib, where this is Node.
 * - Else tables in JavaScript, at a quarter of the speed.
 */

import { CRC_TABLES, crc32ByTables } from "./checksum_tables.js";
import { CHECKSUM_MODULE } from "./checksum_wasm.js";

/** Return the CRC-32 (IEEE) of some bytes, from one of them on. */
export type Checksum = (bytes: Uint8Array, from?: number) => number;

const PAGE_BYTES = 65_536;

export const crc32: Checksum = /* @__PURE__ */ chooseChecksum();

function chooseChecksum(): Checksum {
  return wasmChecksum() ?? nativeChecksum() ?? crc32ByTables;
}

/** Build the checksum on WebAssembly; undefined where that is missing or forbidden. */
export function wasmChecksum(): Checksum | undefined {
  let exported: { memory: WebAssembly.Memory; crc32: (start: number, end: number) => number };
  try {
    const code = Uint8Array.from(atob(CHECKSUM_MODULE), (char) => char.charCodeAt(0));
    // At once and not later: browsers allow that to modules below 4 kB, and this one has a tenth of it.
    exported = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as typeof exported;
  } catch {
    return undefined; // a ReferenceError, or what the policy of the page throws
  }
  const { memory } = exported;
  const start = CRC_TABLES.byteLength;
  let bytesInside = new Uint8Array(memory.buffer);
  new Uint32Array(memory.buffer).set(CRC_TABLES);
  return (bytes, from = 0) => {
    const end = start + bytes.length;
    if (end > bytesInside.length) {
      memory.grow(Math.ceil((end - bytesInside.length) / PAGE_BYTES));
      bytesInside = new Uint8Array(memory.buffer);
    }
    bytesInside.set(bytes, start);
    return exported.crc32(start + from, end) >>> 0;
  };
}

/** Return Node's own, without importing it: a bundle for browsers has no trace of it. */
export function nativeChecksum(): Checksum | undefined {
  type Zlib = { crc32?: (bytes: Uint8Array) => number };
  type Builtins = { getBuiltinModule?: (name: string) => Zlib | undefined };
  const builtins = (globalThis as { process?: Builtins }).process;
  const native = builtins?.getBuiltinModule?.("node:zlib")?.crc32;
  return native && ((bytes, from = 0) => native(bytes.subarray(from)));
}
