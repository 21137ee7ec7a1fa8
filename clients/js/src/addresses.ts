/** Where a gateway is, from an address as people write it: `host:port`, `http://…`, `wss://…`, with a path or without. */

const STREAM_PATH = "/api/v1/ws";
const WEB_SOCKET: { [scheme: string]: string } = {
  "http:": "ws:",
  "https:": "wss:",
  "ws:": "ws:",
  "wss:": "wss:",
};
const HTTP: { [scheme: string]: string } = {
  "http:": "http:",
  "https:": "https:",
  "ws:": "http:",
  "wss:": "https:",
};

/** Return the address of the binary stream. Throws TypeError for what is no address. */
export function streamUrl(address: string): string {
  const url = parse(address, WEB_SOCKET);
  url.pathname = url.pathname === "/" ? STREAM_PATH : url.pathname;
  return url.href;
}

/** Return where HTTP questions go, without a slash at the end. Throws TypeError for what is no address. */
export function httpUrl(address: string): string {
  const url = parse(address, HTTP);
  return url.origin + (url.pathname === STREAM_PATH ? "" : url.pathname.replace(/\/+$/, ""));
}

function parse(address: string, schemes: { [scheme: string]: string }): URL {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  const isHost = /^[\w.-]+(:\d+)?(\/|$)/.test(address) || address.startsWith("[");
  const url = new URL(isHost ? `http://${address}` : address, base);
  const scheme = schemes[url.protocol];
  if (scheme === undefined || url.hostname === "") {
    throw new TypeError(`not the address of a gateway: ${address}`);
  }
  // Setting `protocol` is refused between http and ws in some engines, so it is written anew.
  return new URL(scheme + url.href.slice(url.protocol.length));
}
