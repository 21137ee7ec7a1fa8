/** The dialog to log in, and the quiet button that opens it or logs out. */

import { button, find, make, write } from "../elements.js";
import { type Account, LoginFailed } from "./account.js";

export class LoginDialog {
  readonly #account: Account;
  readonly #button: HTMLButtonElement;
  readonly #dialog: HTMLDialogElement;
  readonly #form: HTMLFormElement;
  readonly #name = make("input", {
    name: "username",
    autocomplete: "username",
    required: true,
    maxlength: 254,
    autocapitalize: "none",
    spellcheck: "false",
  });
  readonly #password = make("input", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  readonly #why = make("p", { class: "why" });
  readonly #error = make("p", { class: "error", role: "alert" });
  readonly #submit = make("button", { type: "submit", class: "main" }, "Log in");

  constructor(account: Account) {
    this.#account = account;
    this.#button = find<HTMLButtonElement>("account");
    this.#form = make(
      "form",
      { method: "dialog" },
      make("label", {}, "Name", this.#name),
      make("label", {}, "Password", this.#password),
      this.#error,
      make(
        "div",
        { class: "buttons" },
        button("Cancel", () => this.#dialog.close()),
        this.#submit,
      ),
    );
    this.#dialog = make(
      "dialog",
      { id: "login", "aria-labelledby": "login-title" },
      make("h2", { id: "login-title" }, "Log in"),
      this.#why,
      this.#form,
    );
    document.body.append(this.#dialog);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#logIn();
    });
    this.#button.addEventListener("click", () => (account.user ? account.logOut() : this.open()));
    account.changed.on(() => this.#show());
    this.#show();
  }

  open(): void {
    const { isRequired, elsewhere } = this.#account;
    const why = isRequired
      ? "This gateway shows prices only to those who log in."
      : "Your watchlist is then kept by the gateway, and is the same on every device.";
    write(this.#why, elsewhere ? `${why} You log in to ${elsewhere}.` : why);
    write(this.#error, "");
    if (!this.#dialog.open) {
      this.#dialog.showModal();
    }
    this.#name.focus();
  }

  #show(): void {
    const { user, isRequired, mayLogIn } = this.#account;
    this.#button.hidden = !mayLogIn;
    this.#button.title = user ? `Logged in as ${user}` : "Keep the watchlist with the gateway";
    this.#button.replaceChildren(
      ...(user
        ? [make("span", { class: "user" }, user), make("span", { class: "soft" }, " log out")]
        : ["Log in"]),
    );
    if (isRequired && mayLogIn && !this.#dialog.open) {
      this.open();
    }
  }

  async #logIn(): Promise<void> {
    this.#submit.disabled = true;
    write(this.#error, "");
    try {
      await this.#account.logIn(this.#name.value.trim(), this.#password.value);
      this.#password.value = "";
      this.#dialog.close();
    } catch (error) {
      if (!(error instanceof LoginFailed)) {
        throw error;
      }
      write(this.#error, error.message);
      this.#password.select();
    } finally {
      this.#submit.disabled = false;
    }
  }
}
