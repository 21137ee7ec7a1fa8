/** One gateway with a simulated exchange for all tests of this folder: `tickgate demo`, real processes. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** null: there is no gateway to be had here. */
    gateway: { url: string; pid: number; pagePort: number } | null;
  }
}

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const PROGRAM = join(ROOT, ".venv/bin/tickgate");
const READY_TIMEOUT_MS = 80_000;

export default async function start(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (!existsSync(PROGRAM)) {
    if (process.env.CI) {
      throw new Error(`${PROGRAM} is missing: run \`make setup\``);
    }
    project.provide("gateway", null);
    return undefined;
  }
  const [port, pagePort] = [await freePort(), await freePort()];
  const data = mkdtempSync(join(tmpdir(), "tickgate-js-"));
  const flags = ["--port", String(port), "--data", data, "--symbols", "6", "--workers", "1"];
  const demo = spawn(PROGRAM, ["demo", ...flags], {
    cwd: ROOT,
    env: { ...process.env, SIM_PORT: "0", SERVER_CORS_ALLOWED_ORIGINS: `http://127.0.0.1:${pagePort}` },
    stdio: "ignore",
  });
  const stop = async () => {
    if (demo.exitCode === null) {
      demo.kill("SIGINT");
      await ended(demo);
    }
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await ready(`http://127.0.0.1:${port}/readyz`, demo);
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide("gateway", { url: `http://127.0.0.1:${port}`, pid: demo.pid!, pagePort });
  return stop;
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/** Ask until it is so: another process sends no event. */
async function ready(url: string, demo: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (!(await isOk(url))) {
    if (demo.exitCode !== null || Date.now() > deadline) {
      throw new Error(`tickgate demo is not ready (exit code ${demo.exitCode})`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function isOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
