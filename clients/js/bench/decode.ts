/**
 * How fast a frame is read, and how small it is, against JSON.parse of the same fields: in Node and in Chromium.
 *
 *     npm run bench                     a table
 *     npm run bench -- --json           the same as JSON
 *     npm run bench -- --round-ms 0.1   a quick look
 *     npm run bench -- --chromium PATH  another Chromium than /usr/bin/chromium; "none" for none
 *     npm run bench -- --sample FILE --seconds 2     the prices that `tickgate bench codec` wrote there, as JSON
 */

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type FromChromium, inChromium } from "./browser.js";
import { type CodecRow, type CodecSample, measureCodec } from "./codec.js";
import { type Measurement, measure, type Result } from "./measure.js";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    "round-ms": { type: "string", default: "1" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    sample: { type: "string" },
    seconds: { type: "string", default: "2" },
  },
});
if (values.sample === undefined) {
  await measureAllKinds(Number(values["round-ms"]));
} else {
  await measurePrices(values.sample, Number(values.seconds));
}

/** Half of the time is Chromium's. */
async function measurePrices(file: string, seconds: number): Promise<void> {
  const sample = JSON.parse(readFileSync(file, "utf8")) as CodecSample;
  const node = { version: process.versions.node, measured: measureCodec(sample, seconds / 2) };
  const args = [sample, seconds / 2];
  const chromium = await inChromium<CodecRow[]>(values.chromium, "codec", "measureCodec", args);
  console.log(JSON.stringify({ node, chromium }));
}

async function measureAllKinds(roundMs: number): Promise<void> {
  const chromium = await inChromium<Measurement>(values.chromium, "measure", "measure", [roundMs]);
  const node = { version: process.versions.node, measured: measure(roundMs) };
  if (values.json) {
    console.log(JSON.stringify({ cpu: cpus()[0].model, node, chromium }, null, 2));
  } else {
    show("Node", node);
    show("Chromium", chromium);
  }
}

function show(where: string, from: FromChromium<Measurement>): void {
  if ("missing" in from) {
    console.log(`\n${where}: ${from.missing}\n`);
    return;
  }
  const { decoding, checksums } = from.measured;
  console.log(`\n${where} ${from.version}: 50 records, CRC checked, every field read; best of many rounds\n`);
  console.log("              bytes   of JSON       read us   as rows   JSON.parse      faster   as rows");
  for (const one of decoding) {
    console.log(lineOf(one));
  }
  const times = checksums.map(({ name, bytes, us }) => `${name} of ${bytes} bytes ${us.toFixed(2)} us`);
  console.log(`\nCRC-32: ${times.join(", ")}`);
  for (const { name, fields } of decoding) {
    console.log(`JSON of ${name}: ${fields.join(", ")}`);
  }
}

function lineOf({ name, frameBytes, jsonBytes, readUs, rowsUs, jsonUs }: Result): string {
  const smaller = `${((1 - frameBytes / jsonBytes) * 100).toFixed(1)} % less`;
  const times = [readUs, rowsUs, jsonUs].map((us) => us.toFixed(2).padStart(10));
  const faster = [jsonUs / readUs, jsonUs / rowsUs].map((factor) => `${factor.toFixed(1)} x`.padStart(11));
  return `${name.padEnd(12)}${String(frameBytes).padStart(7)}  ${smaller.padStart(12)}${times.join("")}${faster.join("")}`;
}
