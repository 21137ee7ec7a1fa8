/**
 * How fast a frame is read, and how small it is, against JSON.parse of the same fields: in Node and in Chromium.
 *
 *     npm run bench                     a table
 *     npm run bench -- --json           the same as JSON
 *     npm run bench -- --round-ms 0.1   a quick look
 *     npm run bench -- --chromium PATH  another Chromium than /usr/bin/chromium; "none" for none
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { measureInChromium } from "./browser.js";
import { type Measurement, measure, type Result } from "./measure.js";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    "round-ms": { type: "string", default: "1" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});
const roundMs = Number(values["round-ms"]);
const measured: { [where: string]: Measurement | null } = {
  [`Node ${process.versions.node}`]: measure(roundMs),
  Chromium: await measureInChromium(values.chromium, roundMs),
};
if (values.json) {
  console.log(JSON.stringify({ cpu: cpus()[0].model, ...measured }, null, 2));
} else {
  for (const [where, measurement] of Object.entries(measured)) {
    show(where, measurement);
  }
}

function show(where: string, measurement: Measurement | null): void {
  if (measurement === null) {
    console.log(`\n${where}: not here\n`);
    return;
  }
  console.log(`\n${where}: 50 records, CRC checked, every field read; best of many rounds\n`);
  console.log("              bytes   of JSON       read us   as rows   JSON.parse      faster   as rows");
  for (const one of measurement.decoding) {
    console.log(lineOf(one));
  }
  const checksums = measurement.checksums.map(
    ({ name, bytes, us }) => `${name} of ${bytes} bytes ${us.toFixed(2)} us`,
  );
  console.log(`\nCRC-32: ${checksums.join(", ")}`);
  for (const { name, fields } of measurement.decoding) {
    console.log(`JSON of ${name}: ${fields.join(", ")}`);
  }
}

function lineOf({ name, frameBytes, jsonBytes, readUs, rowsUs, jsonUs }: Result): string {
  const smaller = `${((1 - frameBytes / jsonBytes) * 100).toFixed(1)} % less`;
  const times = [readUs, rowsUs, jsonUs].map((us) => us.toFixed(2).padStart(10));
  const faster = [jsonUs / readUs, jsonUs / rowsUs].map((factor) => `${factor.toFixed(1)} x`.padStart(11));
  return `${name.padEnd(12)}${String(frameBytes).padStart(7)}  ${smaller.padStart(12)}${times.join("")}${faster.join("")}`;
}
