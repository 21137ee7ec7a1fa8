// Node and its usual WebSocket library: `send` to one client after the other, no compression.
// Told as ../peers/rounds.py says.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocketServer } from "ws";

const PRICE_AT = 8;

const [port, rate, size] = process.argv.slice(2, 5).map(Number);
const data = readFileSync(process.argv[5]);
const payloads = [];
for (let at = 0; at < data.length; at += size) payloads.push(data.subarray(at, at + size));

const audiences = payloads.map(() => new Set());
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 2048, perMessageDeflate: false });
server.on("connection", (client, request) => {
  const audience = audiences[Number(request.url.slice(1))];
  audience.add(client);
  client.on("close", () => audience.delete(client));
});
server.on("listening", () => console.log("ready"));

/** The system's clock has milliseconds here; what they lack is in the other clock, from where one begins on. */
function clockOffsetMs() {
  const before = Date.now();
  while (Date.now() === before);
  return Date.now() - performance.now();
}
const offsetMs = clockOffsetMs();

function sendRound() {
  const timeUs = Math.floor((offsetMs + performance.now()) * 1000);
  for (const [list, audience] of audiences.entries()) {
    const payload = Buffer.from(payloads[list]);
    payload.writeDoubleLE(timeUs, PRICE_AT);
    for (const client of audience) client.send(payload);
  }
}

async function sendRounds(rounds) {
  const startMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    await sleep(Math.max(startMs + (round * 1000) / rate - performance.now(), 0));
    sendRound();
  }
  console.log("done");
}

for await (const line of createInterface({ input: process.stdin })) await sendRounds(Number(line.replace("go ", "")));
process.exit();
