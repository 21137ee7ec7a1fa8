/**
 * Where the gateway is, and the one stream that everything on the page comes from.
 *
 * The rules of this file:
 * - `config.json` beside the page says where: `{"api": "https://api.example"}`. Empty: where the page is from.
 * - `?api=https://…` in the address of the page outranks it, for reading only. Whoever wrote that address is not
 *   whom a password is for, so there is no logging in.
 * - Where the page is the gateway's own, a cookie says who is logged in. Elsewhere it is a token.
 */

import { History, LiveBars, Stream } from "tickgate";
import { read } from "./preferences.js";

export interface Place {
  /** Without a slash at the end. */
  url: string;
  /** The page was served by this gateway. */
  isOwn: boolean;
  /** Whether a password may be sent there. */
  mayLogIn: boolean;
}

/** Find out where the gateway is. Throws TypeError for what is no address. */
export async function findPlace(): Promise<Place> {
  const said = new URLSearchParams(location.search).get("api");
  const url = new URL(said || (await configured()) || location.origin, location.origin);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError(`not the address of a gateway: ${url}`);
  }
  const isOwn = url.origin === location.origin;
  const path = url.pathname.replace(/\/+$/, "");
  return { url: isOwn && !said ? url.origin : url.origin + path, isOwn, mayLogIn: !said || isOwn };
}

/** A page without the file is a page without other settings. */
async function configured(): Promise<string> {
  try {
    const answer = await fetch("./config.json");
    const { api } = (await answer.json()) as { api?: unknown };
    return typeof api === "string" ? api : "";
  } catch {
    return "";
  }
}

export class Gateway {
  readonly place: Place;
  readonly stream: Stream;
  readonly history: History;
  readonly live: LiveBars;
  readonly #token: string;

  constructor(place: Place) {
    this.place = place;
    this.#token = place.isOwn || !place.mayLogIn ? "" : read("token");
    this.stream = new Stream(place.url, this.#token ? { sessionToken: this.#token } : {});
    this.history = new History(place.url, { fetch: (url, init) => this.fetch(url, init) });
    this.live = new LiveBars(this.stream);
  }

  /** Ask the gateway, as whoever is logged in. */
  fetch(url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token) {
      headers.set("Authorization", `Bearer ${this.#token}`);
    }
    return fetch(url, { ...init, headers, credentials: this.place.isOwn ? "same-origin" : "omit" });
  }

  /** Hang up and call again: as whoever the browser is now. */
  reconnect(): void {
    this.stream.stop();
    this.stream.start();
  }
}
