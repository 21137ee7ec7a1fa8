import { defineConfig } from "vitest/config";

/** Both cores are the gateway's too: one file at a time. */
const ONE_BY_ONE = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 90_000 };

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/*.test.ts"], ...ONE_BY_ONE } },
      {
        test: {
          name: "gateway",
          include: ["test/gateway/*.test.ts"],
          globalSetup: "test/gateway/start.ts",
          ...ONE_BY_ONE,
        },
      },
    ],
  },
});
