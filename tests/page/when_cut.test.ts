/** What the page says and does when the gateway, or what feeds it, is gone for a while. By its name the last to run: a feed
 * worker that was killed is busy for a while after. */

import type { Demo } from "./demo.js";
import { barsOf, expect, state, test } from "./page.js";

interface Columns {
  t: number[];
  c: number[];
  v: number[];
}

test.describe.configure({ mode: "serial" });

test("the gateway is cut off: the page says so, comes back by itself, and the chart has no hole", async ({
  terminal: page,
  demo,
  mistakes,
}) => {
  await page.evaluate(() => document.documentElement.setAttribute("data-same-page", ""));
  await expect(state(page)).toHaveText("live");
  demo.cutGateway();
  await expect(state(page)).toHaveText(/reconnecting|connecting/);
  await expect(page.locator("body")).toHaveAttribute("data-state", /down|wait/);
  await expect(state(page)).toHaveText("live", { timeout: 45_000 });
  const price = await page.locator("#headline-price").textContent();
  await expect(page.locator("#headline-price")).not.toHaveText(price!);
  await expect.poll(() => differences(page, demo), { timeout: 20_000 }).toEqual([]);
  await expect(page.locator(".cell.connection .value")).toHaveText(/[1-9]\d* reconnects?/);
  await expect(page.locator(".cell.trades .second")).toHaveText("none missing");
  expect(await page.locator("html[data-same-page]").count()).toBe(1);
  expect(mistakes.splice(0).filter((text) => !/WebSocket|ERR_|Failed to load resource/.test(text))).toEqual(
    [],
  );
});

test("trades that were missed and recovered leave a mark", async ({ terminal: page, demo }) => {
  demo.cutFeed();
  await page.mouse.move(0, 0);
  await expect(page.locator(".cell.gaps .second")).toHaveText(/[1-9]\d* filled/, { timeout: 45_000 });
  await expect(state(page)).toHaveText("live", { timeout: 20_000 });
});

/** Where the chart's bars of the last hours differ from what history says, but for the bar that is running. */
async function differences(page: Parameters<typeof barsOf>[0], demo: Demo): Promise<string[]> {
  const answer = await page.request.get(`${demo.url}/udf/history?symbol=BTCUSDT&resolution=1&countback=200`);
  const { t, c, v } = (await answer.json()) as Columns;
  const shown = new Map((await barsOf(page)).map((bar) => [bar.time, bar]));
  return t.slice(0, -1).flatMap((time, at) => {
    const bar = shown.get(time);
    return bar?.close === c[at] && bar.volume === v[at] ? [] : [`${time}: ${JSON.stringify(bar)}`];
  });
}
