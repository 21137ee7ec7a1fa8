/** The watchlist of whoever is not logged in: searching, adding, moving, removing. */

import { expect, listed, open, row, test } from "./page.js";

test("a symbol is searched, added, and its price moves within two seconds", async ({ terminal: page }) => {
  await page.keyboard.press("/");
  await page.keyboard.type("sim03");
  await expect(page.locator("#found [role=option]").first()).toContainText("SIM03");
  await page.keyboard.press("Enter");
  const added = (await listed(page)).at(-1)!;
  expect(added).toMatch(/^SIM03\dUSDT$/);
  await expect(page.locator("#headline-symbol")).toHaveText(added);
  const price = row(page, added).locator(".price");
  await expect(price).toHaveText(/\d/);
  const before = await price.textContent();
  await expect(price).not.toHaveText(before!, { timeout: 2_000 });
});

test("what is added is there when the page is opened again, and in other tabs at once", async ({
  terminal: page,
  demo,
}) => {
  const other = await page.context().newPage();
  await open(other, demo);
  await page.locator("#search").fill("SIM025");
  await page.locator("#found [role=option]").first().click();
  await expect(row(other, "SIM025USDT")).toBeVisible();
  await page.reload();
  await expect(row(page, "SIM025USDT").locator(".price")).toHaveText(/\d/);
});

test("the change of 24 hours is that of the bar which was open then", async ({ terminal: page, demo }) => {
  await expect(row(page, "ETHUSDT").locator(".change")).toHaveText(/%/, { timeout: 20_000 });
  const from = Math.floor((Date.now() / 1000 - 86_400) / 900) * 900;
  const answer = await page.request.get(
    `${demo.url}/udf/history?symbol=ETHUSDT&resolution=15&from=${from}&to=${from + 900}`,
  );
  const { t, o } = (await answer.json()) as { t: number[]; o: number[] };
  const opening = o[t.indexOf(from)];
  const shown = await page.evaluate(() => {
    const text = (what: string) =>
      document.querySelector(`[data-symbol="BINANCE:ETHUSDT"] .${what}`)!.textContent!.replace(/[, %]/g, "");
    return { price: Number(text("price")), change: Number(text("change").replace("−", "-")) };
  });
  expect(shown.change).toBeCloseTo(100 * (shown.price / opening - 1), 1);
});

test("the arrows choose, and alt with arrows moves", async ({ terminal: page }) => {
  const before = await listed(page);
  await page.keyboard.press("ArrowDown");
  await expect(page.locator("#headline-symbol")).toHaveText(before[1]);
  await expect(row(page, before[1])).toBeFocused();
  await page.keyboard.press("Alt+ArrowDown");
  const after = [before[0], before[2], before[1], ...before.slice(3)];
  await expect.poll(() => listed(page)).toEqual(after);
  await expect(row(page, before[1])).toBeFocused();
});

test("a row is dragged to another place", async ({ terminal: page }) => {
  const before = await listed(page);
  const [from, to] = [await row(page, before[0]).boundingBox(), await row(page, before[3]).boundingBox()];
  await page.mouse.move(from!.x + 40, from!.y + 10);
  await page.mouse.down();
  await page.mouse.move(to!.x + 40, to!.y + 10, { steps: 6 });
  await page.mouse.up();
  const after = [before[1], before[2], before[3], before[0], ...before.slice(4)];
  await expect.poll(() => listed(page)).toEqual(after);
});

test("what is removed can be had back in its place", async ({ terminal: page }) => {
  const before = await listed(page);
  await row(page, before[2]).hover();
  await row(page, before[2]).locator(".remove").click();
  await expect(row(page, before[2])).toHaveCount(0);
  await page.locator("#notice button").click();
  await expect.poll(() => listed(page)).toEqual(before);
});

test("an empty list says what to do", async ({ page, demo, mistakes }) => {
  expect(mistakes).toEqual([]);
  await page.addInitScript(() => localStorage.setItem("tickgate.watchlist", "[]"));
  await open(page, demo);
  await expect(page.locator("#empty")).toBeVisible();
  await page.locator("#empty button").click();
  await expect(row(page, "SOLUSDT").locator(".price")).toHaveText(/\d/);
});

test("a symbol that is not listed says so, and the others go on", async ({ page, demo, mistakes }) => {
  expect(mistakes).toEqual([]);
  await page.addInitScript(() => {
    localStorage.setItem("tickgate.watchlist", '["NOSUCHUSDT", "ETHUSDT"]');
  });
  await open(page, demo);
  await expect(row(page, "NOSUCHUSDT").locator(".price")).toHaveText("not listed");
  await expect(row(page, "ETHUSDT").locator(".price")).toHaveText(/\d/);
});
