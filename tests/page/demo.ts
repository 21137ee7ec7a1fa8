/**
 * A whole tickgate on the simulated exchange, on free ports and in a folder of its own, and what tests do to it.
 *
 * It is stopped as a person would stop it, by Ctrl-C, and has to end well.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = process.env.TICKGATE ?? fileURLToPath(new URL("../../.venv/bin/tickgate", import.meta.url));
const START_MS = 60_000;
const WELCOME = /^\s*page\s+(http:\S+?)\/?\s*$/m;

export class Demo {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(process: ChildProcess, folder: string, url: string) {
    this.#process = process;
    this.#folder = folder;
    this.url = url;
  }

  /** `environ` is what differs from this process's. */
  static async start(environ: { [name: string]: string } = {}): Promise<Demo> {
    const folder = mkdtempSync(join(tmpdir(), "tickgate-page-"));
    const options = ["--port", "0", "--sim-port", "0", "--workers", "1", "--rate", "5", "--data", folder];
    const child = spawn(PROGRAM, ["demo", "--symbols", "40", ...options], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environ },
    });
    return new Demo(child, folder, await addressFrom(child));
  }

  /** Press Ctrl-C, and wait until everything has ended. */
  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGINT");
    const [code] = (await ended) as [number | null];
    rmSync(this.#folder, { recursive: true, force: true });
    if (code !== 0) {
      throw new Error(`tickgate demo ended with ${code}`);
    }
  }

  addUser(name: string, password: string): void {
    const options = ["--password-stdin", "--data", this.#folder];
    execFileSync(PROGRAM, ["user", "add", name, ...options], { input: `${password}\n`, stdio: "pipe" });
  }

  /** Kill the gateway, as if the machine had: the supervisor starts another one. */
  cutGateway(): void {
    process.kill(this.#childOf("gateway"), "SIGKILL");
  }

  /** Stop a feed worker for good, as above: trades are missed until another one has caught up. */
  cutFeed(): void {
    process.kill(this.#childOf("feed"), "SIGKILL");
  }

  #childOf(role: string): number {
    for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const [, parent] = readFileSync(`/proc/${entry}/stat`, "utf8").split(") ")[1].split(" ");
        const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
        if (Number(parent) === this.#process.pid && words.includes("gateway.cli") && words.includes(role)) {
          return Number(entry);
        }
      } catch {
        // It ended while we looked.
      }
    }
    throw new Error(`no ${role} is running`);
  }
}

/** Read on until it says where its page is; its output is drained for its whole life. */
function addressFrom(child: ChildProcess): Promise<string> {
  let said = "";
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the demo did not start:\n${said}`)), START_MS);
    const onData = (data: Buffer) => {
      said = (said + data.toString()).slice(-20_000);
      const address = WELCOME.exec(said)?.[1];
      if (address !== undefined) {
        clearTimeout(late);
        resolve(address);
      }
    };
    child.stdout?.on("data", onData);
    child.stderr?.on("data", onData);
    child.once("exit", (code) => reject(new Error(`the demo ended with ${code}:\n${said}`)));
  });
}
