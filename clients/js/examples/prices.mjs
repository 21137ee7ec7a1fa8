// Print the prices of some symbols as they move, and say what the connection does.
//
//     node examples/prices.mjs http://127.0.0.1:8080 BTCUSDT,ETHUSDT

import { Stream } from "tickgate";

const [url = "http://127.0.0.1:8080", symbols = "BTCUSDT,ETHUSDT", count = "Infinity"] =
  process.argv.slice(2);
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket; // Node has its own from 22 on

const stream = new Stream(url, { symbols: symbols.split(","), kinds: ["price"], WebSocket });
let left = Number(count);
for await (const item of stream) {
  if (item.type === "price") {
    const label = item.entry.simulated ? " SIMULATED" : "";
    console.log(`${item.symbol} ${item.price.toFixed(item.entry.price_precision)}${label}`);
    if (--left === 0) {
      stream.stop();
      break;
    }
  } else if (item.type === "state") {
    console.log(`-- ${item.state.name}`);
  } else {
    console.log(`-- ${item.type}`, item);
  }
}
