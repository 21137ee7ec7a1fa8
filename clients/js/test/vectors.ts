/** The golden frames that the Python tests read too. */

import { readFileSync } from "node:fs";

type Fields = { [name: string]: number | string };

interface Vectors {
  v1: { name: string; hex: string; records: Fields[] }[];
  v2: { name: string; hex: string; kind: string; time_us: string; records: Fields[] }[];
  /** The frames of each come one after the other on one connection. */
  compact: { name: string; frames: { hex: string; prices?: Fields[]; error?: string }[] }[];
  batches: { name: string; hex: string; frames: string[] }[];
  bad: { name: string; reader: string; hex: string; error: string }[];
}

const FILE = new URL("../../../protocol/vectors.json", import.meta.url);
export const VECTORS = JSON.parse(readFileSync(FILE, "utf8")) as Vectors;

export function bytesOf(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

/** Spell the names of fields as TypeScript does, and leave out what only fills up. */
export function inCamelCase(fields: Fields): { [name: string]: number | string } {
  const named = Object.entries(fields).map(([name, value]) => [
    name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  const { pad: _, ...rest } = Object.fromEntries(named) as { [name: string]: number | string };
  return rest;
}
