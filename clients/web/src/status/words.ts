/** The state of the stream in words. Pure: it is told the time. */

import type { StreamState } from "tickgate";
import { formatDuration } from "../amounts.js";

export interface Words {
  /** live: what is shown is now. wait: it may not be. down: it is not. */
  tone: "live" | "wait" | "down";
  short: string;
  detail: string;
  /** There is something that whoever looks at it can do. */
  canRetry: boolean;
}

/** So long nothing may come from a market that lives. */
const QUIET_MS = 3_000;

/** Say how the stream stands; `heardMs` is when market data last came. */
export function describeState(state: StreamState, isOnline: boolean, heardMs: number, nowMs: number): Words {
  if (!isOnline && state.name !== "live") {
    return words("down", "offline", "This device has no network. It goes on by itself.");
  }
  const silence = formatDuration(nowMs - heardMs);
  switch (state.name) {
    case "live":
      if (nowMs - Math.max(heardMs, state.sinceMs) > QUIET_MS) {
        return words(
          "wait",
          `quiet for ${silence}`,
          "Connected, but no market data comes. The gateway is being asked.",
        );
      }
      return words("live", "live", `Prices arrive. Connected for ${formatDuration(nowMs - state.sinceMs)}.`);
    case "connecting":
      return words("wait", "connecting", "The gateway is being called.");
    case "stale":
      return state.why === "silent"
        ? words("wait", `stale for ${silence}`, "The gateway answers, but no market data comes.")
        : words("wait", `stale for ${silence}`, "The gateway does not answer. These prices are old.");
    case "reconnecting": {
      const seconds = Math.max(0, Math.ceil((state.atMs - nowMs) / 1000));
      const when = seconds > 0 ? `reconnecting in ${seconds} s` : "reconnecting";
      return words(
        "down",
        when,
        `The connection was lost${because(state)}. Attempt ${state.attempt} follows.`,
        true,
      );
    }
    case "paused":
      return words("wait", "paused", `${state.reason}. It goes on by itself.`);
    case "refused":
      return words(
        "down",
        `refused: ${state.reason || state.code}`,
        `The gateway closed with ${state.code}.`,
        true,
      );
    case "stopped":
      return words("down", "stopped", "The stream was stopped.", true);
  }
}

function words(tone: Words["tone"], short: string, detail: string, canRetry = false): Words {
  return { tone, short, detail, canRetry };
}

/** 1006 is what a browser says where it knows nothing. */
function because({ code, reason }: { code: number; reason: string }): string {
  if (reason) {
    return `: ${reason}`;
  }
  return code === 1006 ? "" : ` (${code})`;
}
