/** One demo, one browser at a time: what is measured here is the page, not the machine. */

import { defineConfig } from "@playwright/test";
import { chromiumPath } from "./chromium.js";

const executablePath = chromiumPath();

export default defineConfig({
  testDir: ".",
  testMatch: process.env.SCREENSHOTS ? "screenshots.ts" : "*.test.ts",
  outputDir: "results",
  workers: 1,
  timeout: 90_000,
  // A demo that has just started is busy; what has to be fast says so itself.
  expect: { timeout: 15_000 },
  forbidOnly: Boolean(process.env.CI),
  use: {
    viewport: { width: 1440, height: 900 },
    timezoneId: "Europe/Berlin",
    colorScheme: "dark",
    launchOptions: {
      ...(executablePath === undefined ? {} : { executablePath }),
      args: ["--no-sandbox"],
    },
  },
});
