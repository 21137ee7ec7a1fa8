/**
 * Who is logged in, and how one logs in and out.
 *
 * The rules of this file:
 * - It is the gateway that says who we are: only it can read the cookie. Its sign is the market watch, which it
 *   sends to whoever is logged in and to nobody else. So somebody anonymous asks nothing in vain.
 * - Logged out, here or elsewhere, the page goes on as anybody, if the gateway lets anybody read.
 * - A cookie that is worth nothing any more keeps the stream from opening, and a page cannot see that. After two
 *   attempts the session is asked for, and the answer takes the cookie away.
 */

import { CloseCode, type StreamState } from "tickgate";
import type { Gateway } from "../gateway.js";
import { onChanged, read, remember } from "../preferences.js";
import { Signal } from "../signal.js";

const DOUBTFUL_ATTEMPT = 2;
const UNAUTHORIZED = 401;
const TOO_MANY_REQUESTS = 429;

/** Logging in failed; the message is for whoever tried. */
export class LoginFailed extends Error {
  override readonly name = "LoginFailed";
}

export class Account {
  /** Empty: nobody is logged in, as far as is known. */
  user = "";
  /** The gateway lets only those read who log in. */
  isRequired = false;
  readonly changed = new Signal();
  #isAsking = false;

  constructor(private readonly gateway: Gateway) {
    const { stream } = gateway;
    stream.on("market_watch", () => this.#ask());
    stream.on("auth", ({ user }) => this.#become(user));
    stream.on("refused", ({ code }) => code === "not_logged_in" && this.#require());
    stream.on("state", ({ state }) => this.#onState(state));
    onChanged("user", () => this.#follow());
  }

  get mayLogIn(): boolean {
    return this.gateway.place.mayLogIn;
  }

  /** Where a password would be sent, if not to the host of this page. */
  get elsewhere(): string {
    return this.gateway.place.isOwn ? "" : new URL(this.gateway.place.url).host;
  }

  /** Begin a session. Throws LoginFailed. */
  async logIn(username: string, password: string): Promise<void> {
    const cookie = this.gateway.place.isOwn;
    const answer = await this.#post("login", { username, password, cookie });
    const { user, token, message } = (await answer.json().catch(() => ({}))) as {
      [field: string]: string | undefined;
    };
    if (!answer.ok || user === undefined) {
      throw new LoginFailed(reasonOf(answer, message));
    }
    this.isRequired = false;
    if (token !== undefined) {
      remember("token", token);
      location.reload(); // the stream takes a token when it is made
      return;
    }
    this.#become(user);
    remember("user", user);
    this.gateway.reconnect();
  }

  /** End the session, also where the gateway cannot be told. */
  async logOut(): Promise<void> {
    await this.#post("logout", undefined).catch(() => undefined);
    this.#become("");
    remember("user", "");
    if (read("token")) {
      remember("token", "");
      location.reload();
      return;
    }
    this.gateway.reconnect();
  }

  /** Another tab of this browser has logged in or out. */
  #follow(): void {
    if (read("user") !== this.user) {
      this.#become(""); // who it is now the gateway will say
      this.gateway.reconnect();
    }
  }

  async #post(what: "login" | "logout", body: object | undefined): Promise<Response> {
    const headers = { "Content-Type": "application/json" };
    const content = body === undefined ? {} : { headers, body: JSON.stringify(body) };
    try {
      const url = `${this.gateway.place.url}/api/v1/auth/${what}`;
      return await this.gateway.fetch(url, { method: "POST", ...content });
    } catch {
      throw new LoginFailed("The gateway does not answer.");
    }
  }

  /** Ask who we are, unless that is known. */
  async #ask(): Promise<void> {
    if (this.user !== "" || this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    try {
      const answer = await this.gateway.fetch(`${this.gateway.place.url}/api/v1/auth/session`);
      if (answer.ok) {
        this.#become(((await answer.json()) as { user: string }).user);
      } else if (answer.status === UNAUTHORIZED) {
        this.#become("");
      }
    } catch {
      // The stream says better than this that the gateway is away.
    } finally {
      this.#isAsking = false;
    }
  }

  #onState(state: StreamState): void {
    if (state.name === "refused" && state.code === CloseCode.NOT_LOGGED_IN) {
      this.#require();
    } else if (state.name === "refused" && state.code === CloseCode.LOGGED_OUT && this.user !== "") {
      this.#become("");
      this.gateway.stream.start();
    } else if (
      state.name === "reconnecting" &&
      state.code === CloseCode.ABNORMAL &&
      state.attempt === DOUBTFUL_ATTEMPT &&
      this.gateway.place.isOwn
    ) {
      this.user = "";
      this.#ask();
    }
  }

  #require(): void {
    if (!this.isRequired) {
      this.isRequired = true;
      this.#become("");
    }
  }

  #become(user: string): void {
    this.user = user;
    this.changed.tell();
  }
}

function reasonOf({ status, headers }: Response, message: string | undefined): string {
  if (status === UNAUTHORIZED) {
    return "That name and password do not go together.";
  }
  if (status === TOO_MANY_REQUESTS) {
    return `Too many attempts: try again in ${headers.get("Retry-After") ?? "some"} seconds.`;
  }
  return message ?? `The gateway answered ${status}.`;
}
