/**
 * CRC-32 (IEEE, that of zlib, gzip and PNG) by tables: eight bytes a step.
 *
 * Where WebAssembly may not run, this is all there is. See `checksum.ts`.
 */

const POLYNOMIAL = 0xedb88320;
const TABLES = 16;

/** Table k says what a byte does to the checksum when k more bytes follow it. One behind the other. */
export const CRC_TABLES = buildTables();

/** Return the CRC-32 of some bytes, from one of them on. */
export function crc32ByTables(bytes: Uint8Array, from = 0): number {
  const tables = CRC_TABLES;
  const steps = bytes.length - ((bytes.length - from) & 7);
  let crc = -1;
  let at = from;
  for (; at < steps; at += 8) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      tables[0x700 + (crc & 255)] ^
      tables[0x600 + ((crc >>> 8) & 255)] ^
      tables[0x500 + ((crc >>> 16) & 255)] ^
      tables[0x400 + (crc >>> 24)] ^
      tables[0x300 + bytes[at + 4]] ^
      tables[0x200 + bytes[at + 5]] ^
      tables[0x100 + bytes[at + 6]] ^
      tables[bytes[at + 7]];
  }
  for (; at < bytes.length; at++) {
    crc = tables[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function buildTables(): Uint32Array {
  const tables = new Uint32Array(TABLES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    }
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256];
    tables[at] = (before >>> 8) ^ tables[before & 255];
  }
  return tables;
}
