import { defineConfig } from "vitest/config";

// libtorch is loaded once a process: a fork of its own for each file keeps threads, seeds and modes apart.
const shared = {
  environment: "node",
  pool: "forks",
  isolate: true,
} as const;

const minutes = 60_000;

export default defineConfig({
  // Node 20 has no `using`: lowered to what it runs.
  oxc: { target: "node20" },
  test: {
    tags: [
      { name: "gpu", description: "Computes on the device under test: npm run test:gpu." },
      { name: "network", description: "Asks a package registry: npm run test:network." },
    ],
    projects: [
      {
        extends: true,
        test: {
          ...shared,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.long.test.ts", "test/install/**"],
          globalSetup: "test/global-setup.ts",
          testTimeout: minutes,
          hookTimeout: 2 * minutes,
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: "long",
          include: ["test/**/*.long.test.ts"],
          globalSetup: "test/global-setup.ts",
          testTimeout: 20 * minutes,
          hookTimeout: 20 * minutes,
        },
      },
      {
        extends: true,
        test: {
          ...shared,
          name: "install",
          include: ["test/install/**/*.test.ts"],
          globalSetup: "test/install/global-setup.ts",
          testTimeout: 20 * minutes,
          hookTimeout: 20 * minutes,
        },
      },
    ],
    maxWorkers: 2,
  },
});
