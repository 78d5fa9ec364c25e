import { defineConfig } from "vitest/config";

// libtorch is loaded once a process: a fork of its own for each file keeps threads, seeds and modes apart.
const shared = {
  environment: "node",
  pool: "forks",
  isolate: true,
  globalSetup: "test/global-setup.ts",
} as const;

export default defineConfig({
  // Node 20 has no `using`: lowered to what it runs.
  oxc: { target: "node20" },
  test: {
    projects: [
      {
        extends: true,
        test: {
          ...shared,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.long.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: "long",
          include: ["test/**/*.long.test.ts"],
          testTimeout: 1_200_000,
          hookTimeout: 1_200_000,
        },
      },
    ],
    maxWorkers: 2,
  },
});
