/** The chart: intervals, history, indicators, zones. */

import type { Page } from "@playwright/test";
import { expect, test } from "./page.js";

const DAY_MS = 86_400_000;

const SLOW = { timeout: 30_000 };

/** What the crosshair says of the bar in the middle of the chart, as a time. */
async function timeInSight(page: Page): Promise<number> {
  return Date.parse(`${await page.locator("#legend .time").textContent()} GMT+0100`);
}

test("intervals are switched by key and by hand", async ({ terminal: page }) => {
  await page.keyboard.press("3");
  await expect(page.locator("#intervals button[aria-pressed=true]")).toHaveText("5m");
  await expect(page.locator("#chart")).toHaveAttribute("aria-label", "Candles of BTCUSDT, 5m", SLOW);
  await page.locator("#intervals button", { hasText: /^1h$/ }).click();
  await expect(page.locator("#chart")).toHaveAttribute("aria-label", "Candles of BTCUSDT, 1h", SLOW);
  expect(await page.locator("#intervals button").count()).toBe(15);
});

test("scrolling back goes two days and more into the past, without a hole", async ({ terminal: page }) => {
  await page.keyboard.press("3");
  await expect(page.locator("#chart")).toHaveAttribute("aria-label", /5m/, SLOW);
  const box = (await page.locator("#chart").boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const scrolledMs = async () => {
    await page.mouse.wheel(-700, 0);
    return Date.now() - (await timeInSight(page));
  };
  await expect.poll(scrolledMs, { intervals: [150], ...SLOW }).toBeGreaterThan(2 * DAY_MS);
  await expect(page.locator("#to-live")).toBeVisible();
  const times = await page.evaluate(() => {
    const { chart } = (globalThis as unknown as { tickgate: { chart: { bars: { time: number }[] } } })
      .tickgate;
    return chart.bars.map((bar) => bar.time);
  });
  expect(times.filter((time, at) => at > 0 && time - times[at - 1] !== 300)).toEqual([]);
  await page.keyboard.press("End");
  await expect(page.locator("#to-live")).toBeHidden();
});

test("the history ends at its first bar, and says so", async ({ terminal: page }) => {
  await page.locator("#intervals button", { hasText: /^1M$/ }).click();
  await expect(page.locator("#chart")).toHaveAttribute("aria-label", /1M/, SLOW);
  for (let press = 0; press < 12; press++) {
    await page.keyboard.press("ArrowLeft");
  }
  await expect(page.locator("#beginning")).toBeVisible();
});

test("the last bar is live", async ({ terminal: page }) => {
  const close = page.locator("#legend .figure", { hasText: /^C/ });
  await expect(close).toHaveText(/\d/);
  const before = await close.textContent();
  await expect(close).not.toHaveText(before!, { timeout: 5_000 });
});

test("indicators show what they are worth", async ({ terminal: page }) => {
  await expect(page.locator("#legend .ema0")).toHaveText(/EMA 20\s*[\d,]+\.\d\d/);
  await page.keyboard.press("r");
  await expect(page.locator("#legend .rsi")).toHaveText(/RSI 14\s*\d+\.\d/);
  await page.keyboard.press("g");
  // The extremes of years of bars are known a minute or two after a demo was started.
  await expect(page.locator("#legend .enigma")).toHaveText(/\d+\.\d\d %\s+between .* % at|not known yet/);
  await page.keyboard.press("e");
  await expect(page.locator("#legend .ema0")).toBeHidden();
  await page.reload();
  await expect(page.locator("#legend .rsi")).toBeVisible();
  await expect(page.locator("#legend .ema0")).toBeHidden();
});

test("times are those of this place, or UTC", async ({ terminal: page }) => {
  await expect(page.locator("#legend .time")).toHaveText(/\d/, SLOW);
  const here = await page.locator("#legend .time").textContent();
  await page.keyboard.press("z");
  await expect(page.locator("#legend .time")).not.toHaveText(here!);
  const utc = await page.locator("#legend .time").textContent();
  const apart = Date.parse(`${here} UTC`) - Date.parse(`${utc} UTC`);
  expect(Math.abs(apart - 3_600_000)).toBeLessThanOrEqual(60_000); // another minute may have begun
});

test("prices of a simulated exchange are called so wherever they are", async ({ terminal: page }) => {
  for (const place of ["#simulated", "#list-simulated", "#headline-simulated"]) {
    await expect(page.locator(place)).toHaveText("SIMULATED");
    await expect(page.locator(place)).toBeVisible();
  }
  await expect(page).toHaveTitle(/^SIMULATED [\d,.]+ BTCUSDT/);
});

test("in another zone a day begins at its own midnight", async ({ terminal: page }) => {
  const marks = await page.evaluate(() => {
    const { chart } = (globalThis as unknown as { tickgate: { chart: { canvas: Canvas } } }).tickgate;
    const { canvas } = chart;
    const points = [22, 23, 24].map((hour) => ({
      originalTime: Date.UTC(2026, 10, 21, hour) / 1000,
      timeWeight: 0,
    }));
    canvas.scale.fillWeightsForPoints(points, 0);
    return points.map((point) => point.timeWeight);
  });
  // 23:00 UTC is midnight in Berlin, 24:00 UTC is one o'clock.
  expect(marks[1]).toBe(50);
  expect(marks[2]).toBeLessThan(50);
});

interface Canvas {
  scale: { fillWeightsForPoints(points: object[], start: number): void };
}
