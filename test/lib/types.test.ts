import path from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { packageRoot } from "../../lib/package-root.js";

test("misuse does not compile, and use does", () => {
  const configFile = path.join(packageRoot(), "tsconfig.json");
  const { config } = ts.readConfigFile(configFile, ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, packageRoot());
  const file = path.join(import.meta.dirname, "misuse.ts");
  const program = ts.createProgram([file], options);
  const problems = ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map((problem) => {
    const text = ts.flattenDiagnosticMessageText(problem.messageText, "\n");
    const line = problem.file?.getLineAndCharacterOfPosition(problem.start ?? 0).line ?? 0;
    return `${path.basename(problem.file?.fileName ?? "")}:${line + 1}: ${text}`;
  });
  expect(problems).toEqual([]);
});
