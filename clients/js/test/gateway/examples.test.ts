/** The examples run. They use the built package, as everybody does: `npm run build` comes first. */

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { describe, expect, test } from "vitest";
import { GATEWAY_URL, IS_MISSING, PAGE_PORT } from "./running.js";

const CHROMIUM = "/usr/bin/chromium";
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const TYPES: { [extension: string]: string } = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
};
const run = promisify(execFile);

describe.skipIf(IS_MISSING)("examples", () => {
  test("prices are printed", async () => {
    const { stdout } = await run(process.execPath, ["examples/prices.mjs", GATEWAY_URL, "BTCUSDT", "3"], {
      cwd: PACKAGE,
    });
    expect(stdout).toMatch(/-- live\n/);
    expect(stdout.match(/^BTCUSDT \d+\.\d\d SIMULATED$/gm)).toHaveLength(3);
  });

  test("trades go on in the file where they ended", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "tickgate-js-")), "trades.jsonl");
    for (let runs = 0; runs < 2; runs++) {
      await run(process.execPath, ["examples/resume_trades.mjs", GATEWAY_URL, "BTCUSDT", file, "15"], {
        cwd: PACKAGE,
      });
    }
    const ids = readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => Number(JSON.parse(line).id));
    expect(ids).toEqual(Array.from({ length: 30 }, (_, at) => ids[0] + at));
  });

  test.skipIf(!existsSync(CHROMIUM))(
    "the page with Lightweight Charts goes live, without an error",
    async () => {
      const server = createServer((request, response) => {
        const { pathname } = new URL(request.url ?? "/", "http://localhost");
        const isOurs = /^\/(examples|dist|node_modules\/lightweight-charts\/dist)\/[\w.-]+$/.test(pathname);
        response.writeHead(isOurs ? 200 : 404, { "Content-Type": TYPES[extname(pathname)] ?? "text/plain" });
        response.end(isOurs ? readFileSync(join(PACKAGE, pathname)) : "");
      });
      await new Promise<void>((resolve) => server.listen(PAGE_PORT, "127.0.0.1", resolve));
      const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
      try {
        const page = await browser.newPage();
        const errors: string[] = [];
        page.on("pageerror", (error) => errors.push(String(error)));
        page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
        const origin = `http://127.0.0.1:${PAGE_PORT}`;
        await page.goto(`${origin}/examples/lightweight_charts.html?gateway=${GATEWAY_URL}`);
        await page.getByText("BTCUSDT SIMULATED · live").waitFor();
        await page.locator("#chart canvas").first().waitFor();
        if (process.env.SCREENSHOT) {
          await page.screenshot({ path: process.env.SCREENSHOT });
        }
        expect(errors).toEqual([]);
      } finally {
        await browser.close();
        server.close();
      }
    },
  );
});
