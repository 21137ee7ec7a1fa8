// The binary stream, v2: frames in, records out, and a socket that comes back by itself.
// Bytes: protocol/SPEC.md. Nothing here knows about the page.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte >>> 0;
});

export function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}

const FIELDS = { 1: ["price", "volume"], 2: ["bid", "bid_size", "ask", "ask_size"] };

/** Decode one frame. Throws an Error that names what is wrong with it. */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 16) throw new Error("frame is cut");
  if (crc32(new Uint8Array(buffer, 4)) !== view.getUint32(0, true)) throw new Error("frame CRC is wrong");
  if (view.getUint8(6) !== 2) throw new Error(`frame version is ${view.getUint8(6)}`);
  const kind = view.getUint8(7), timeUs = Number(view.getBigUint64(8, true)), fields = FIELDS[kind];
  if (!fields) return { kind, timeUs, records: [] }; // a kind that was not asked for
  const count = view.getUint16(4, true), size = 8 + 8 * fields.length;
  if (buffer.byteLength !== 16 + count * size) throw new Error("frame has another length than it says");
  const records = Array.from({ length: count }, (_, index) => {
    const at = 16 + index * size, flags = view.getUint16(at + 2, true);
    const record = { id: view.getUint16(at, true), changes: flags >> 8 || 1, sentUs: timeUs - view.getInt32(at + 4, true) };
    fields.forEach((field, place) => (record[field] = view.getFloat64(at + 8 + 8 * place, true)));
    return record;
  });
  return { kind, timeUs, records };
}

const NEVER_AGAIN = (code) => [1003, 1007, 1009].includes(code) || (code >= 4400 && code < 4500);
const PING_MS = 10_000, SILENCE_MS = 25_000, MAX_RETRY_MS = 10_000, SYMBOLS_A_MESSAGE = 1000;

/** The connection to a gateway. `on` has `open`, `symbols`, `frame`, `error` and `down`. */
export class Stream {
  #socket = null; #wanted = new Set(); #failures = 0; #heardAt = 0; #timer = 0;

  constructor(url, on) {
    this.url = url;
    this.on = on;
    setInterval(() => this.#check(), PING_MS);
    addEventListener("online", () => this.#socket || this.open());
  }

  open() {
    clearTimeout(this.#timer);
    const socket = (this.#socket = new WebSocket(this.url, "tickgate.v2"));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (socket.protocol !== "tickgate.v2") return this.#lost(socket, 4400, "the server does not speak tickgate.v2");
      this.#heardAt = Date.now();
      this.on.open();
      this.#say("subscribe", [...this.#wanted]);
    };
    socket.onmessage = ({ data }) => this.#heard(socket, data);
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
  }

  /** Stream exactly these symbols from now on. */
  watch(names) {
    const wanted = new Set(names), before = this.#wanted;
    this.#wanted = wanted;
    this.#say("subscribe", names.filter((name) => !before.has(name)));
    this.#say("unsubscribe", [...before].filter((name) => !wanted.has(name)));
  }

  #say(type, symbols) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return; // said when it opens
    for (let start = 0; start < symbols.length; start += SYMBOLS_A_MESSAGE) {
      const message = { type, symbols: symbols.slice(start, start + SYMBOLS_A_MESSAGE) };
      if (type === "subscribe") message.kinds = ["price", "quote"];
      this.#socket.send(JSON.stringify(message));
    }
  }

  #heard(socket, data) {
    this.#heardAt = Date.now();
    try {
      if (typeof data !== "string") {
        this.on.frame(decode(data), data.byteLength);
        this.#failures = 0;
        return;
      }
      const message = JSON.parse(data);
      if (message.type === "ping") socket.send('{"type":"pong"}');
      this.on[message.type]?.(message);
    } catch (error) {
      this.#lost(socket, 1006, error.message);
    }
  }

  #check() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.#heardAt > SILENCE_MS) this.#lost(this.#socket, 1006, "the server went silent");
    else this.#socket.send('{"type":"ping"}');
  }

  #lost(socket, code, reason) {
    if (socket !== this.#socket) return; // already dealt with
    this.#socket = null;
    socket.onmessage = null;
    socket.close();
    const forGood = NEVER_AGAIN(code);
    // Full jitter: a thousand browsers that lost one server must not come back in one moment.
    const retryMs = Math.random() * Math.min(MAX_RETRY_MS, 500 * 2 ** this.#failures++);
    if (!forGood) this.#timer = setTimeout(() => this.open(), retryMs);
    this.on.down({ code, reason, forGood, retryAt: Date.now() + retryMs });
  }
}
