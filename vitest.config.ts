import { defineConfig } from "vitest/config";

// libtorch is loaded once a process and is not safe in V8's shared worker teardown: one fork a file.
const shared = { environment: "node", pool: "forks", globalSetup: ["test/global-setup.ts"] } as const;

export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: "unit", include: ["test/**/*.test.ts"], exclude: ["test/**/*.long.test.ts"], testTimeout: 60_000 } },
      { test: { ...shared, name: "long", include: ["test/**/*.long.test.ts"], testTimeout: 1_200_000 } },
    ],
    maxWorkers: 2,
  },
});
