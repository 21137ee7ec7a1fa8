/** What the tests do to the running gateway: speak with it through a wire that can be cut, and kill it. */

import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { inject } from "vitest";
import { WebSocket } from "ws";
import { Stream, type StreamOptions } from "../../src/index.js";

const running = inject("gateway");
export const IS_MISSING = running === null;
export const GATEWAY_URL = running?.url ?? "http://127.0.0.1:1";
/** Where pages may be served from that the gateway lets in. */
export const PAGE_PORT = running?.pagePort ?? 0;

/** A stream of the gateway that comes back quickly. */
export function streamOf(options: StreamOptions, url = GATEWAY_URL): Stream {
  return new Stream(url, { WebSocket, patience: { firstRetryMs: 50, maxRetryMs: 300 }, ...options });
}

export function until<Value>(look: (resolve: (value: Value) => void) => void): Promise<Value> {
  return new Promise(look);
}

/** Kill the gateway process without warning; the supervisor starts another one. */
export function killGateway(): void {
  const [pid] = childrenOf(running!.pid).filter((child) => commandOf(child).includes("gateway"));
  process.kill(pid, "SIGKILL");
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

/** The words of its command line after the program. */
function commandOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(1);
}

/** A wire to the gateway. */
export class Wire {
  readonly #pairs = new Set<[Socket, Socket]>();
  readonly #server: Server;

  private constructor() {
    const target = new URL(GATEWAY_URL);
    this.#server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname);
      const pair: [Socket, Socket] = [near, far];
      this.#pairs.add(pair);
      near.pipe(far).on("error", () => near.destroy());
      far.pipe(near).on("error", () => far.destroy());
      near.on("close", () => this.#pairs.delete(pair));
    });
  }

  static async lay(): Promise<Wire> {
    const wire = new Wire();
    await new Promise<void>((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    return wire;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cut all that runs through it; new connections are taken. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  remove(): void {
    this.cut();
    this.#server.close();
  }
}
