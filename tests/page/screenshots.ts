/** The pictures of docs/screenshots: `npm run screenshots` takes them anew. */

import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { barsOf, expect, open, row, test } from "./page.js";

const FOLDER = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const MOST_BYTES = 300_000;
const SLOW = { timeout: 150_000 };

const PICTURES = [
  { name: "dark", colorScheme: "dark", size: { width: 1440, height: 900 }, keys: ["3", "r"] },
  { name: "light", colorScheme: "light", size: { width: 1440, height: 900 }, keys: ["8", "g"] },
  { name: "phone", colorScheme: "dark", size: { width: 390, height: 844 }, keys: ["4"] },
] as const;

test.setTimeout(300_000);

for (const { name, colorScheme, size, keys } of PICTURES) {
  test(name, async ({ page, demo, mistakes }) => {
    expect(mistakes).toEqual([]);
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    await open(page, demo);
    await expect(row(page, "LTCUSDT").locator(".change")).toHaveText(/%/, SLOW);
    if (name === "phone") {
      await row(page, "BTCUSDT").click();
    }
    for (const key of keys) {
      await page.keyboard.press(key);
    }
    await expect(page.locator("#chart")).toHaveAttribute("aria-label", /, (5m|15m|4h)$/, SLOW);
    if (name === "light") {
      await expect(page.locator("#legend .enigma")).toHaveText(/between/, SLOW);
    }
    // A demo that has just started has the running bar of a longer interval after a while.
    await expect.poll(() => lagShare(page), SLOW).toBeLessThan(1e-4);
    // The ladder has a history of its own to show.
    await expect.poll(() => seen(page), SLOW).toBeGreaterThan(name === "phone" ? 50 : 1_000);
    const path = `${FOLDER}${name}.png`;
    await page.screenshot({ path });
    expect(statSync(path).size).toBeLessThan(MOST_BYTES);
  });
}

/** How far the last bar of the chart is from the price above it. */
async function lagShare(page: Page): Promise<number> {
  const price = Number((await page.locator("#headline-price").textContent())!.replaceAll(",", ""));
  return Math.abs((await barsOf(page)).at(-1)!.close / price - 1);
}

function seen(page: Page): Promise<number> {
  return page.evaluate(() => {
    type Stream = { figures: { ages: { seen: number } } };
    return (globalThis as unknown as { tickgate: { stream: Stream } }).tickgate.stream.figures.ages.seen;
  });
}
