// Record every trade of a symbol into a file, none missing and none twice, however often this is stopped.
//
//     node examples/resume_trades.mjs http://127.0.0.1:8080 BTCUSDT trades.jsonl
//
// What is in the file says where to go on. What could not be had is in the file too, as a gap.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { Stream } from "tickgate";

const [url = "http://127.0.0.1:8080", symbol = "BTCUSDT", file = "trades.jsonl", count = "Infinity"] =
  process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket; // Node has its own from 22 on

const last = existsSync(file) ? JSON.parse(readFileSync(file, "utf8").trimEnd().split("\n").at(-1)) : null;
const since = last ? { [symbol]: BigInt(last.id ?? last.lastId) } : {};
const stream = new Stream(url, { symbols: [symbol], kinds: ["trade"], since, WebSocket });
let left = Number(count);
for await (const item of stream) {
  if (item.type === "trade") {
    const { id, price, quantity, takerSold, exchangeUs } = item;
    appendFileSync(file, `${JSON.stringify({ id: String(id), price, quantity, takerSold, exchangeUs })}\n`);
    if (--left === 0) {
      stream.stop();
      break;
    }
  } else if (item.type === "gap") {
    const { state, cause, firstId, lastId } = item;
    const ids = { firstId: String(firstId), lastId: String(lastId) };
    appendFileSync(file, `${JSON.stringify({ gap: true, state, cause, ...ids })}\n`);
  } else {
    console.log(item.type === "state" ? `-- ${item.state.name}` : item);
  }
}
