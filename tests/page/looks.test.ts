/** What it looks like, to whom: accessibility, phones, dark and light, little motion. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";
import { expect, open, row, test } from "./page.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 390, height: 844 };

/** What axe finds, of what matters. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
        }>;
      };
    };
    const { violations } = await axe.run();
    return violations.flatMap(({ id, impact, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${impact} ${id}: ${html.slice(0, 160)} ${failureSummary}`),
    );
  });
}

for (const theme of ["dark", "light"] as const) {
  test.describe(theme, () => {
    test.use({ colorScheme: theme });

    test("axe finds nothing", async ({ terminal: page }) => {
      await expect(row(page, "ETHUSDT").locator(".change")).toHaveText(/%/, { timeout: 20_000 });
      await page.keyboard.press("r");
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press("/");
      await page.keyboard.type("btc");
      await expect(page.locator("#found")).toBeVisible();
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press("Escape");
      await page.locator("#account").click();
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press("Escape");
      await page.keyboard.press("?");
      expect(await findings(page)).toEqual([]);
    });

    test("axe finds nothing on a phone", async ({ page, demo, mistakes }) => {
      expect(mistakes).toEqual([]);
      await page.setViewportSize(PHONE);
      await open(page, demo);
      for (const view of ["list", "chart", "stream"]) {
        await page.locator(`#view-${view}`).click();
        expect(await findings(page)).toEqual([]);
      }
    });
  });
}

test("dark and light follow the system until one is chosen", async ({ terminal: page }) => {
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  expect(await theme()).toBe("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await expect.poll(theme).toBe("light");
  await page.keyboard.press("t");
  await expect.poll(theme).toBe("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.reload();
  expect(await theme()).toBe("dark");
});

test("on a phone one part is seen at a time, and nothing is wider than it", async ({
  page,
  demo,
  mistakes,
}) => {
  expect(mistakes).toEqual([]);
  await page.setViewportSize(PHONE);
  await open(page, demo);
  await expect(page.locator("#watch")).toBeVisible();
  await expect(page.locator("#chart")).toBeHidden();
  await row(page, "ETHUSDT").click();
  await expect(page.locator("#chart canvas").first()).toBeVisible();
  await expect(page.locator("#headline-symbol")).toHaveText("ETHUSDT");
  await expect(page.locator("#watch")).toBeHidden();
  await page.locator("#view-stream").click();
  await expect(page.locator(".cell.trades .value")).toBeVisible();
  for (const view of ["list", "chart", "stream"]) {
    await page.locator(`#view-${view}`).click();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.width);
  }
});

test("whoever wants little motion gets none", async ({ page, demo, mistakes }) => {
  expect(mistakes).toEqual([]);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, demo);
  const price = row(page, "BTCUSDT").locator(".price");
  const before = await price.textContent();
  await expect(price).not.toHaveText(before!);
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
});

test("every key is on the list of keys", async ({ terminal: page }) => {
  await page.keyboard.press("?");
  await expect(page.locator("#help")).toBeVisible();
  for (const key of ["/", "?", "e", "r", "g", "l", "z", "t", "End"]) {
    await expect(
      page.locator("#help kbd", { hasText: new RegExp(`^${key.replace(/[/?]/g, "\\$&")}$`) }),
    ).toBeVisible();
  }
  await page.keyboard.press("Escape");
  await expect(page.locator("#help")).toBeHidden();
});
