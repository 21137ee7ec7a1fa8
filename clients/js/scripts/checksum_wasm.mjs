// Writes src/checksum_wasm.ts: CRC-32 as a WebAssembly module put together by hand.
//
//   node scripts/checksum_wasm.mjs           write the file
//   node scripts/checksum_wasm.mjs --check   say whether it is up to date
//
// The module has one memory, `memory`, and one function, `crc32(start, end)`, which spoils the bytes between.
//
// Most of the bytes are folded. Taken as a polynomial, a message may have any multiple of the CRC's polynomial
// added without its CRC changing. Some multiples have five terms only: a bit can be taken off and put on again 281,
// 285, 344 and 515 bits further on (`isMultiple` checks it). So each block of sixteen bytes vanishes by a few
// shifts into the blocks after it, and no table is looked up. There is a shorter multiple, 145, 183, 211 and 300;
// but with that a block waits for the one just before it, and half of the speed is gone.
//
// What remains, and what is too short for that, goes by tables, sixteen bytes a step. Memory begins with sixteen
// tables of 256 words, which JavaScript fills (src/checksum_tables.ts): table k holds what a byte does to the
// checksum when k more bytes follow it. So the bytes of a step are looked up independently of each other, and
// only the first four of them wait for the step before.

import { readFileSync, writeFileSync } from "node:fs";

const STEP = 16;
/** How many bits further on a bit is put on again. */
const DISTANCES = [281, 285, 344, 515];
const POLYNOMIAL = 0x04c11db7;
/** Blocks of a turn of the folding loop: the one at hand, and those after it that something waits for. */
const RING = 5;
const TURN_BYTES = 16 * RING;
/** How far behind the last folded block bits are put on. */
const REACH_BYTES = 16 * RING - 8;
const TABLE_BYTES = 1024;
const PAGES = 2;
const FILE = new URL("../src/checksum_wasm.ts", import.meta.url);

// Operation codes: https://webassembly.github.io/spec/core/binary/instructions.html
const BLOCK = [0x02, 0x40];
const LOOP = [0x03, 0x40];
const END = [0x0b];
const IF = [0x04, 0x40];
const I32 = 0x7f;
const V128 = 0x7b;
const EQZ = [0x45];
const GREATER_U = [0x4b];
const GREATER_EQUAL_U = [0x4f];
const ADD = [0x6a];
const SUB = [0x6b];
const AND = [0x71];
const XOR = [0x73];
const SHIFT_LEFT = [0x74];
const SHIFT_RIGHT = [0x76];
const LOAD_BLOCK = [0xfd, 0x00, 0];
const STORE_BLOCK = [0xfd, 0x0b, 0];
const XOR_BLOCK = [0xfd, 0x51];
const LANES_LATER = [0xfd, 0xcb, 1];
const LANES_EARLIER = [0xfd, 0xcd, 1];
/** The upper half of one block, then the lower half of another. */
const HALVES = [0xfd, 0x0d, ...Array.from({ length: 16 }, (_, at) => at + 8)];
const FIRST_32_ONES = [0xfd, 0x0c, ...Array.from({ length: 16 }, (_, at) => (at < 4 ? 255 : 0))];
const get = (local) => [0x20, local];
const set = (local) => [0x21, local];
const constant = (value) => [0x41, ...signed(value)];
const branch = (depth) => [0x0c, depth];
const branchIf = (depth) => [0x0d, depth];
const loadWord = (offset) => [0x28, 2, ...unsigned(offset)];
const loadByte = (offset) => [0x2d, 0, ...unsigned(offset)];

const POSITION = 0;
const LIMIT = 1;
const CRC = 2;
const FIRST_WORD = 3;
const WORDS = STEP / 4;
/** What is to be put on the next blocks, and what on the upper half of one and the lower half of the next. */
const ALIGNED = FIRST_WORD + WORDS;
const ACROSS = ALIGNED + RING;
const FOLDED = ACROSS + RING;

/** LEB128, the variable length numbers of WebAssembly. */
function unsigned(value) {
  const rest = value >>> 7;
  return rest ? [(value & 127) | 128, ...unsigned(rest)] : [value & 127];
}

function signed(value) {
  const rest = value >> 7;
  const isLast = rest === (value & 64 ? -1 : 0);
  return isLast ? [value & 127] : [(value & 127) | 128, ...signed(rest)];
}

function whileTrue(condition, body) {
  return [BLOCK, LOOP, condition, EQZ, branchIf(1), body, branch(0), END, END].flat(2);
}

/** Look up one byte of a word: shifted so that it is the offset of a word in its table. */
function lookUp(word, byte, table) {
  const shift = byte === 0 ? [constant(2), SHIFT_LEFT] : [constant(byte * 8 - 2), SHIFT_RIGHT];
  return [get(word), shift.flat(), constant(0x3fc), AND, loadWord(table * TABLE_BYTES)].flat();
}

/** Say whether a bit may be taken off and put on again so: x^-d of the distances add up to 1. */
function isMultiple(distances) {
  const parts = distances.map((distance) => {
    let power = 1;
    for (let step = 0; step < distance; step++) {
      power = power & 1 ? ((power ^ POLYNOMIAL) >>> 1) | 0x8000_0000 : power >>> 1;
    }
    return power;
  });
  return parts.reduce((sum, part) => sum ^ part, 0) === 1;
}

/** What a block puts on later ones: shifted within its two halves, and what the shift moves out of a half. */
function pieces() {
  return DISTANCES.flatMap((distance) => {
    const shift = distance % 64;
    const half = Math.floor(distance / 64);
    return [
      { half, code: [...constant(shift), ...LANES_LATER] },
      { half: half + 1, code: [...constant(64 - shift), ...LANES_EARLIER] },
    ];
  });
}

/** Fold the block of this number in a turn into the blocks after it. */
function foldBlock(block) {
  const across = (later) => ACROSS + ((block + later + RING) % RING);
  const aligned = (later) => ALIGNED + ((block + later) % RING);
  const load = [get(POSITION), LOAD_BLOCK, block * 16, get(aligned(0)), XOR_BLOCK].flat();
  const both = [get(across(-1)), get(across(0)), HALVES, XOR_BLOCK, set(FOLDED)].flat();
  const put = new Map();
  for (const { half, code } of pieces()) {
    const later = Math.floor(half / 2);
    const local = half % 2 ? across(later) : aligned(later);
    // The farthest place is new: what was there belonged to the block that has just gone.
    const before = put.get(local) ?? (later < RING - 1 ? get(local) : []);
    const piece = [...get(FOLDED), ...code];
    put.set(local, before.length > 0 ? [...before, ...piece, ...XOR_BLOCK] : piece);
  }
  return [...load, ...both, ...[...put].flatMap(([local, code]) => [...code, ...set(local)])];
}

/** Put on memory what waits, from the next block on. */
function putDown() {
  const blocks = Array.from({ length: RING - 1 }, (_, block) => block);
  const places = [
    ...blocks.map((block) => [ALIGNED + block, 16 * block]),
    ...[-1, ...blocks].map((block) => [ACROSS + ((block + RING) % RING), 16 * block + 8]),
  ];
  return places.flatMap(([local, offset]) => {
    const address = [...get(POSITION), ...constant(offset), ...ADD];
    return [...address, ...address, ...LOAD_BLOCK, 0, ...get(local), ...XOR_BLOCK, ...STORE_BLOCK, 0];
  });
}

function fold() {
  const isLong = [get(LIMIT), get(POSITION), SUB, constant(TURN_BYTES + REACH_BYTES), GREATER_EQUAL_U].flat();
  const turn = Array.from({ length: RING }, (_, block) => foldBlock(block)).flat();
  const next = [get(POSITION), constant(TURN_BYTES), ADD, set(POSITION)].flat();
  const first = [...FIRST_32_ONES, ...set(ALIGNED)];
  const loop = [...LOOP, ...turn, ...next, ...isLong, ...branchIf(0), ...END];
  return [...isLong, ...IF, ...first, ...loop, ...putDown(), ...constant(0), ...set(CRC), ...END];
}

function sixteenBytes() {
  const words = Array.from({ length: WORDS }, (_, index) => FIRST_WORD + index);
  const load = words.map((word, index) => [
    ...get(POSITION),
    ...loadWord(index * 4),
    ...(index === 0 ? [...get(CRC), ...XOR] : []),
    ...set(word),
  ]);
  // The first word comes last: it is the one that has to wait for the step before.
  const lookUps = words
    .flatMap((word, index) => [0, 1, 2, 3].map((byte) => lookUp(word, byte, STEP - 1 - index * 4 - byte)))
    .reverse()
    .flatMap((code, index) => (index === 0 ? code : [...code, ...XOR]));
  return [load, lookUps, set(CRC), get(POSITION), constant(STEP), ADD, set(POSITION)].flat(2);
}

function oneByte() {
  const index = [get(CRC), get(POSITION), loadByte(0), XOR, constant(255), AND, constant(2), SHIFT_LEFT];
  const rest = [get(CRC), constant(8), SHIFT_RIGHT, XOR, set(CRC)];
  return [index, [loadWord(0)], rest, [get(POSITION), constant(1), ADD, set(POSITION)]].flat(2);
}

function moduleBytes() {
  if (!isMultiple(DISTANCES)) {
    throw new Error("these distances change the checksum");
  }
  const body = [
    [constant(-1), set(CRC)],
    [fold()],
    [whileTrue([get(LIMIT), get(POSITION), SUB, constant(STEP), GREATER_EQUAL_U].flat(), sixteenBytes())],
    [whileTrue([get(LIMIT), get(POSITION), GREATER_U].flat(), oneByte())],
    [get(CRC), constant(-1), XOR, END],
  ].flat(2);
  const code = [2, 1 + WORDS, I32, 2 * RING + 1, V128, ...body];
  const section = (id, content) => [id, ...unsigned(content.length), ...content];
  const name = (text) => [text.length, ...new TextEncoder().encode(text)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, I32, I32, 1, I32]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, PAGES]),
    ...section(7, [2, ...name("memory"), 2, 0, ...name("crc32"), 0, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ]);
}

const text = `// Written by scripts/checksum_wasm.mjs, which says what is in it.
export const CHECKSUM_MODULE =
  "${Buffer.from(moduleBytes()).toString("base64")}";
`;
if (!process.argv.includes("--check")) {
  writeFileSync(FILE, text);
} else if (readFileSync(FILE, "utf8") !== text) {
  console.error("src/checksum_wasm.ts is not what scripts/checksum_wasm.mjs writes");
  process.exitCode = 1;
}
