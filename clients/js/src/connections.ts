/**
 * The connections of a stream: one after the other, as long as the gateway will have us back.
 *
 * The rules of this file:
 * - A lost connection is replaced, after exponential backoff with full jitter; the backoff starts anew only when
 *   a connection has brought valid data. A close code that says "the same again will fail the same" (44xx)
 *   refuses the stream instead.
 * - What breaks the protocol is counted, and its connection dropped.
 * - The state is what is known, not what is hoped: `live` from the first word of the gateway on, `stale` when it
 *   is not heard, `reconnecting` with the time of the next attempt.
 */

import { CloseCode, mayComeBack, ProtocolError } from "./errors.js";
import type { StreamState } from "./events.js";
import type { FrameData } from "./frames.js";
import { type Health, Heartbeat, type Rhythm, TICK_MS } from "./heartbeat.js";

/** What of a WebSocket is used: that of browsers, of Node from 22 on, of the package `ws`. */
export interface Socket {
  binaryType: string;
  readonly protocol: string;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown } & never) => void) | null;
  onclose: ((event: { code: number; reason: string } & never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

/** How long to wait, for what. */
export interface Patience extends Rhythm {
  openMs: number;
  firstRetryMs: number;
  maxRetryMs: number;
}

/** What a connection is told by its stream. */
export interface Conversation {
  /** A new connection is open: return what to say on it, a ping last, so that the gateway says something. */
  onOpen(): string[];
  /** Take in what came, text or a frame; return what to answer. Throws a ProtocolError. */
  onMessage(data: string | FrameData): string[];
  /** The state is another one. */
  onState(state: StreamState): void;
  /** What broke the protocol. */
  onMistake(error: ProtocolError): void;
  /** Whether data is to be expected. */
  expectsData(): boolean;
  /** Send a ping, by `say`. */
  ping(): void;
}

const OPEN = 1;
const NORMAL = 1000;
const LONGEST_REASON = 100;

export class Connections {
  state: StreamState = { name: "stopped" };
  /** How many times a connection was lost and opened again. */
  reconnects = 0;
  #socket: Socket | null = null;
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #openTimer: ReturnType<typeof setTimeout> | undefined;
  #tickTimer: ReturnType<typeof setInterval> | undefined;
  readonly #heartbeat: Heartbeat;
  readonly #retryWhenOnline = () => this.#retryNow();

  constructor(
    private readonly url: string,
    private readonly subprotocol: string,
    private readonly Socket: SocketConstructor,
    private readonly patience: Patience,
    private readonly conversation: Conversation,
  ) {
    this.#heartbeat = new Heartbeat(patience);
  }

  start(): void {
    if (this.state.name === "stopped" || this.state.name === "refused" || this.state.name === "paused") {
      this.#failures = 0;
      globalThis.addEventListener?.("online", this.#retryWhenOnline);
      this.#open();
    }
  }

  stop(): void {
    this.#rest({ name: "stopped" });
  }

  /** Hang up until `start` is called again. */
  pause(reason: string): void {
    this.#rest({ name: "paused", reason });
  }

  /** Send a message, if there is a connection; else the next one begins with everything. Says which. */
  say(text: string): boolean {
    if (this.#socket?.readyState !== OPEN) {
      return false;
    }
    this.#socket.send(text);
    return true;
  }

  #open(): void {
    this.#enter({ name: "connecting", attempt: this.#failures });
    const socket = new this.Socket(this.url, [this.subprotocol]);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#onOpen(socket);
    socket.onmessage = ({ data }: { data: unknown }) => this.#onMessage(socket, data as string | FrameData);
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.#onClose(code, reason);
    socket.onerror = () => {}; // a close follows, and says more
    this.#openTimer = setTimeout(
      () => this.#drop(CloseCode.ABNORMAL, "it did not open"),
      this.patience.openMs,
    );
  }

  #onOpen(socket: Socket): void {
    clearTimeout(this.#openTimer);
    if (socket.protocol !== this.subprotocol) {
      this.#rest({
        name: "refused",
        code: CloseCode.PROTOCOL,
        reason: `it does not speak ${this.subprotocol}`,
      });
      return;
    }
    this.#heartbeat.onOpen(Date.now());
    this.#tickTimer = setInterval(() => this.#onTick(), TICK_MS);
    for (const text of this.conversation.onOpen()) {
      socket.send(text);
    }
  }

  #onMessage(socket: Socket, data: string | FrameData): void {
    const isFrame = typeof data !== "string";
    try {
      for (const reply of this.conversation.onMessage(data)) {
        this.say(reply);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) {
        throw error;
      }
      this.conversation.onMistake(error);
      this.#drop(error.closeCode, `${error.name}: ${error.message}`);
      return;
    }
    if (this.#socket === socket) {
      this.#onHeard(isFrame);
    }
  }

  #onHeard(isFrame: boolean): void {
    this.#heartbeat.onHeard(Date.now(), isFrame);
    if (isFrame) {
      this.#failures = 0;
    }
    const { state } = this;
    if (state.name === "connecting" || (state.name === "stale" && (isFrame || state.why === "unanswered"))) {
      this.#enter({ name: "live", sinceMs: Date.now() });
    }
  }

  #onTick(): void {
    const { health, ping } = this.#heartbeat.onTick(Date.now(), this.conversation.expectsData());
    if (ping) {
      this.conversation.ping();
    }
    if (health === "lost") {
      this.#drop(CloseCode.ABNORMAL, "no answer to pings");
    } else if (this.state.name !== "connecting") {
      this.#show(health);
    }
  }

  #show(health: Exclude<Health, "lost">): void {
    const shown = this.state.name === "stale" ? this.state.why : this.state.name;
    if (shown !== health) {
      const sinceMs = Date.now();
      this.#enter(health === "live" ? { name: "live", sinceMs } : { name: "stale", why: health, sinceMs });
    }
  }

  #onClose(code: number, reason: string): void {
    this.#release();
    if (mayComeBack(code)) {
      this.#retryLater(code, reason);
    } else {
      this.#rest({ name: "refused", code, reason });
    }
  }

  /** Give a connection up, and come back. */
  #drop(code: number, reason: string): void {
    const socket = this.#release();
    // A page may send 1000 and 3000 to 4999 only, and a reason of 123 bytes.
    const plain = reason.replace(/[^ -~]/g, "?").slice(0, LONGEST_REASON);
    socket?.close(code >= 3000 ? code : NORMAL, plain);
    this.#retryLater(code, reason);
  }

  #retryLater(code: number, reason: string): void {
    const { firstRetryMs, maxRetryMs } = this.patience;
    const retryMs = Math.random() * retryBoundMs(this.#failures, firstRetryMs, maxRetryMs);
    this.#failures++;
    this.#retryTimer = setTimeout(() => this.#retryNow(), retryMs);
    const atMs = Date.now() + retryMs;
    this.#enter({ name: "reconnecting", code, reason, atMs, attempt: this.#failures });
  }

  #retryNow(): void {
    if (this.state.name === "reconnecting") {
      clearTimeout(this.#retryTimer);
      this.reconnects++;
      this.#open();
    }
  }

  #rest(state: StreamState): void {
    globalThis.removeEventListener?.("online", this.#retryWhenOnline);
    clearTimeout(this.#retryTimer);
    this.#release()?.close(NORMAL);
    this.#enter(state);
  }

  /** Let go of the connection: nothing of it is heard any more. */
  #release(): Socket | null {
    clearTimeout(this.#openTimer);
    clearInterval(this.#tickTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
    }
    return socket;
  }

  #enter(state: StreamState): void {
    this.state = state;
    this.conversation.onState(state);
  }
}

/** Say below what to wait before the next attempt, after so many that failed. */
export function retryBoundMs(failures: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures, 16));
}
