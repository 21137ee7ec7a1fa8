/** The page on another host than the gateway: by a file beside it, or by its address. */

import { expect, listed, row, test } from "./page.js";

const PASSWORD = "another long password";

test("config.json says where the gateway is, and one can log in there", async ({
  page,
  demo,
  elsewhere,
  mistakes,
}) => {
  expect(mistakes).toEqual([]);
  demo.addUser("bob", PASSWORD);
  elsewhere.api = demo.url;
  await page.goto(elsewhere.url);
  await expect(row(page, "ETHUSDT").locator(".price")).toHaveText(/\d/);
  await expect(page.locator("#legend .bar")).toHaveText(/O\s*\d/);
  await page.locator("#account").click();
  await expect(page.locator("#login")).toContainText(new URL(demo.url).host);
  await page.locator("#login input[name=username]").fill("bob");
  await page.locator("#login input[name=password]").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.locator("#account")).toContainText("bob");
  await page.locator("#empty button").click();
  await expect(row(page, "ETHUSDT").locator(".price")).toHaveText(/\d/);
  await page.locator("#account").click();
  await expect(page.locator("#account")).toHaveText("Log in");
  await expect.poll(() => listed(page)).toContain("ETHUSDT");
});

test("an address in a link is for reading only", async ({ page, demo, elsewhere, mistakes }) => {
  expect(mistakes).toEqual([]);
  elsewhere.api = "";
  await page.goto(`${elsewhere.url}/?api=${encodeURIComponent(demo.url)}`);
  await expect(row(page, "ETHUSDT").locator(".price")).toHaveText(/\d/);
  await expect(page.locator("#account")).toBeHidden();
});

test("an address that is none is said", async ({ page, elsewhere }) => {
  await page.goto(`${elsewhere.url}/?api=${encodeURIComponent("javascript:alert(1)")}`);
  await expect(page.locator("#state-text")).toHaveText(/not the address of a gateway/);
});
