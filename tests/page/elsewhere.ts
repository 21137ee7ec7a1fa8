/** A server of plain files on a host of its own, as a CDN is one; what it says of the gateway can be set. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../clients/web/dist/", import.meta.url));
const TYPES: { [extension: string]: string } = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

export class Elsewhere {
  /** What `config.json` says. */
  api = "";
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<Elsewhere> {
    const server = createServer((request, response) => {
      const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
      if (path === "/config.json") {
        response.end(JSON.stringify({ api: elsewhere.api }));
        return;
      }
      const file = join(DIST, path === "/" ? "index.html" : path);
      response.setHeader("Content-Type", TYPES[extname(file)] ?? "text/plain");
      response.end(readFileSync(file));
    }).listen(0, "localhost");
    await once(server, "listening");
    const elsewhere: Elsewhere = new Elsewhere(server);
    return elsewhere;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
