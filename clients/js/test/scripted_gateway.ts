/** A gateway that says and does what a test tells it to, over real sockets. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { encodeV2, type KindName, type Values } from "../bench/encode.js";
import type { SymbolEntry } from "../src/index.js";

export type Said = { type: string } & Record<string, unknown>;

/** One connection of a client. */
export class Client {
  readonly said: Said[] = [];
  #waiting: (() => void)[] = [];

  constructor(
    private readonly socket: WebSocket,
    answersPings: () => boolean,
  ) {
    socket.on("message", (data) => {
      const message = JSON.parse(String(data)) as Said;
      this.said.push(message);
      if (message.type === "ping" && answersPings()) {
        this.say({ type: "pong" });
      }
      for (const look of this.#waiting.splice(0)) {
        look();
      }
    });
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  sayRaw(data: string | ArrayBuffer): void {
    this.socket.send(data);
  }

  introduce(...entries: SymbolEntry[]): void {
    this.say({ type: "symbols", symbols: entries });
  }

  send(kind: KindName, rows: Values[], timeUs = Date.now() * 1000): void {
    this.socket.send(encodeV2(kind, rows, timeUs));
  }

  close(code: number, reason = ""): void {
    this.socket.close(code, reason);
  }

  /** Cut the connection without a word. */
  cut(): void {
    this.socket.terminate();
  }

  /** Wait until the client has said something that fits, now or before. */
  async heard(fits: (message: Said) => boolean): Promise<Said> {
    for (;;) {
      const message = this.said.find(fits);
      if (message !== undefined) {
        return message;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async subscribed(): Promise<Said> {
    return this.heard(({ type }) => type === "subscribe");
  }
}

export class ScriptedGateway {
  answersPings = true;
  /** How HTTP is answered. */
  answer: (url: URL, response: ServerResponse) => void = (_, response) => response.writeHead(404).end("{}");
  readonly asked: URL[] = [];
  readonly #arrived: Client[] = [];
  #waiting: (() => void)[] = [];
  readonly #http: Server;
  readonly #sockets: WebSocketServer;

  private constructor() {
    this.#http = createServer((request, response) => this.#onRequest(request, response));
    this.#sockets = new WebSocketServer({ server: this.#http });
    this.#sockets.on("connection", (socket) => {
      this.#arrived.push(new Client(socket, () => this.answersPings));
      this.#waiting.shift()?.();
    });
  }

  static async start(): Promise<ScriptedGateway> {
    const gateway = new ScriptedGateway();
    await new Promise<void>((resolve) => gateway.#http.listen(0, "127.0.0.1", resolve));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** The next connection. */
  async client(): Promise<Client> {
    if (this.#arrived.length === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#arrived.shift()!;
  }

  stop(): void {
    for (const socket of this.#sockets.clients) {
      socket.terminate();
    }
    this.#http.close();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.url);
    this.asked.push(url);
    this.answer(url, response);
  }
}

export function entry(id: number, symbol: string, more: Partial<SymbolEntry> = {}): SymbolEntry {
  const precisions = { price_precision: 2, quantity_precision: 5 };
  return { id, symbol, venue: "sim", name: `BINANCE:${symbol}`, simulated: false, ...precisions, ...more };
}
