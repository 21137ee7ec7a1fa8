/** The same measurements in Chromium: a page that imports the built modules from a server of our own. */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";

const BUILT = new URL("../", import.meta.url);
const PAGE = "<!doctype html><title>bench</title>";

/** What a function of a module of this folder returned, and which Chromium it was; or why there is nothing. */
export type FromChromium<T> = { version: string; measured: T } | { missing: string };

/** Call `name(...args)` of the module in the Chromium of this path. */
export async function inChromium<T>(
  executablePath: string,
  module: string,
  name: string,
  args: unknown[],
): Promise<FromChromium<T>> {
  if (!existsSync(executablePath)) {
    return { missing: `there is no Chromium (${executablePath})` };
  }
  let browser: Browser;
  try {
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  } catch (error) {
    return { missing: `it does not start: ${String(error).split("\n")[0]}` };
  }
  const server = await serve();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const call = `import("/bench/${module}.js").then((module) => module.${name}(...${JSON.stringify(args)}))`;
    return { version: browser.version(), measured: (await page.evaluate(call)) as T };
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
