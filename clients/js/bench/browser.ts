/** The same measurement in Chromium: a page that imports the built modules from a server of our own. */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import type { Measurement } from "./measure.js";

const BUILT = new URL("../", import.meta.url);
const PAGE = "<!doctype html><title>bench</title>";

/** Measure in the Chromium of this path; null where there is none. */
export async function measureInChromium(
  executablePath: string,
  roundMs: number,
): Promise<Measurement | null> {
  if (!existsSync(executablePath)) {
    return null;
  }
  const server = await serve();
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return (await page.evaluate(
      `import("/bench/measure.js").then(({ measure }) => measure(${roundMs}))`,
    )) as Measurement;
  } finally {
    await browser.close();
    server.close();
  }
}

async function serve(): Promise<Server> {
  const server = createServer(async ({ url = "/" }, response) => {
    const file = /^\/(src|bench)\/\w+\.js$/.test(url) ? fileURLToPath(new URL(`.${url}`, BUILT)) : null;
    // Only a page that is isolated so has a clock finer than 0.1 ms.
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    response.setHeader("Content-Type", file ? "text/javascript" : "text/html");
    response.end(file ? await readFile(file) : PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
