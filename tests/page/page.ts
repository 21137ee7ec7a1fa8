/** What every test of the page has: the demo, the page opened on it, and no error on its console. */

import { test as base, expect, type Locator, type Page } from "@playwright/test";
import { chromiumPath } from "./chromium.js";
import { Demo } from "./demo.js";
import { Elsewhere } from "./elsewhere.js";

export { expect };

interface Each {
  /** Without a browser a test is skipped, unless this machine must have one. */
  browserIsHere: undefined;
  /** What went wrong on the page, in the words of its console. The test fails if there is anything left in it. */
  mistakes: string[];
  /** The page, opened, with a first price. */
  terminal: Page;
}

interface All {
  demo: Demo;
  /** The same files, served by somebody else: where a CDN would have them. */
  elsewhere: Elsewhere;
}

export const test = base.extend<Each, All>({
  elsewhere: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs.
    async ({}, use) => {
      const elsewhere = await Elsewhere.start();
      await use(elsewhere);
      await elsewhere.stop();
    },
    { scope: "worker" },
  ],
  demo: [
    async ({ elsewhere }, use) => {
      const demo = await Demo.start({ SERVER_CORS_ALLOWED_ORIGINS: elsewhere.url });
      await use(demo);
      await demo.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  browserIsHere: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs.
    async ({}, use, testInfo) => {
      const isHere = chromiumPath() !== undefined;
      expect(isHere || !process.env.CI, "no Chromium on this machine").toBe(true);
      testInfo.skip(!isHere, "no Chromium on this machine");
      await use(undefined);
    },
    { auto: true },
  ],
  mistakes: async ({ page }, use) => {
    const mistakes: string[] = [];
    watchForMistakes(page, mistakes);
    await use(mistakes);
    expect(mistakes).toEqual([]);
  },
  terminal: async ({ page, demo, mistakes }, use) => {
    expect(mistakes).toEqual([]);
    await open(page, demo);
    await use(page);
  },
});

export function watchForMistakes(page: Page, mistakes: string[]): void {
  page.on("pageerror", (error) => mistakes.push(String(error.stack)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      mistakes.push(`${message.text()} (${message.location().url})`);
    }
  });
}

/** Open the page, and wait for its first price. */
export async function open(page: Page, demo: Demo): Promise<void> {
  await page.goto(demo.url);
  await expect(page.locator("#headline-price")).toHaveText(/\d/);
}

export function row(page: Page, symbol: string): Locator {
  return page.locator(`.row[data-symbol="BINANCE:${symbol}"]`);
}

/** The symbols on the list, in its order. */
export async function listed(page: Page): Promise<string[]> {
  const names = await page.locator("#rows .row b").allTextContents();
  return names;
}

export function state(page: Page): Locator {
  return page.locator("#state-text");
}

/** The bars that the chart has, oldest first. */
export function barsOf(page: Page): Promise<{ time: number; close: number; volume: number }[]> {
  return page.evaluate(() => {
    const { chart } = (globalThis as unknown as { tickgate: { chart: { bars: [] } } }).tickgate;
    return chart.bars;
  });
}
