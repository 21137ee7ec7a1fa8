/** Logging in: the list is then the gateway's, and the same wherever that user looks. */

import { expect, listed, open, row, test } from "./page.js";

const PASSWORD = "a long enough password";

test("whoever logs in has the gateway's list, in every tab, and loses it when they log out", async ({
  terminal: page,
  demo,
}) => {
  demo.addUser("ann", PASSWORD);
  const local = await listed(page);
  await page.locator("#account").click();
  await page.locator("#login input[name=username]").fill("ann");
  await page.locator("#login input[name=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.locator("#account")).toContainText("ann");
  await expect(page.locator("#empty")).toBeVisible();

  await page.keyboard.press("/");
  await page.keyboard.type("sol");
  await expect(page.locator("#found [role=option]").first()).toContainText("SOLUSDT");
  await page.keyboard.press("Enter");
  await expect(row(page, "SOLUSDT").locator(".price")).toHaveText(/\d/);

  const other = await page.context().newPage();
  await open(other, demo);
  await expect(other.locator("#account")).toContainText("ann");
  await expect.poll(() => listed(other)).toEqual(["SOLUSDT"]);
  await other.locator("#search").fill("ltc");
  await other.locator("#found [role=option]").first().click();
  await expect.poll(() => listed(page)).toEqual(["SOLUSDT", "LTCUSDT"]);

  await row(page, "LTCUSDT").focus();
  await page.locator("#rows").press("Alt+ArrowUp");
  await page.locator("#account").click();
  await expect(page.locator("#account")).toHaveText("Log in");
  await expect.poll(() => listed(page)).toEqual(local);
  await expect.poll(() => listed(other)).toEqual(local);
});

test("a wrong password is told in words", async ({ terminal: page, mistakes }) => {
  await page.locator("#account").click();
  await page.locator("#login input[name=username]").fill("nobody");
  await page.locator("#login input[name=password]").fill("wrong password");
  await page.keyboard.press("Enter");
  await expect(page.locator("#login [role=alert]")).toHaveText("That name and password do not go together.");
  await page.keyboard.press("Escape");
  await expect(page.locator("#login")).toBeHidden();
  // The browser itself notes the answer 401.
  expect(mistakes.splice(0).join()).toContain("401");
});

test("a session that has ended elsewhere leaves a page that goes on as anybody", async ({
  terminal: page,
  demo,
  mistakes,
}) => {
  await page
    .context()
    .addCookies([{ name: "session_token", value: "tg_gone", url: demo.url, httpOnly: true }]);
  await page.reload();
  await expect(page.locator("#headline-price")).toHaveText(/\d/, { timeout: 20_000 });
  await expect(page.locator("#account")).toHaveText("Log in");
  mistakes.splice(0); // the browser notes every refusal
});
