import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import type { OperatorSchema } from "../../lib/native.js";
import { packageRoot } from "../../lib/package-root.js";

const BY_RULE = /_backward|^_?quantized::|^quantization::|^onednn::|^mkldnn::/;

function operators(): OperatorSchema[] {
  return binding.operatorNames().flatMap((full) => {
    const dot = full.indexOf(".");
    const [name, overload] = dot < 0 ? [full, ""] : [full.slice(0, dot), full.slice(dot + 1)];
    return binding.findOperator(name, overload) ?? [];
  });
}

test("a refused operator says why, whatever it is given", () => {
  const refused = operators().filter((operator) => operator.refused !== null);
  expect(refused.length).toBeGreaterThan(0);
  for (const operator of refused) {
    expect(() => binding.call(operator.id, 1, 2, 3)).toThrow(
      expect.objectContaining({ code: "ERR_WAVEGPT_REFUSED", operator: expect.any(String) }),
    );
  }
});

test("docs/binding.md lists the operators that are refused", () => {
  const page = readFileSync(path.join(packageRoot(), "docs/binding.md"), "utf8");
  const list = page.slice(page.indexOf("<!-- refused"), page.indexOf("<!-- end of refused"));
  const listed = [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string).sort();
  const known = operators().filter((operator) => !BY_RULE.test(operator.name));
  const names = new Set(known.map((operator) => operator.name));
  const expected = [...names].flatMap((name) => {
    const overloads = known.filter((operator) => operator.name === name);
    const refused = overloads.filter((operator) => operator.refused !== null);
    if (refused.length === overloads.length) return [name];
    return refused.map((operator) => `${name}.${operator.overload}`);
  });
  expect(listed).toEqual(expected.sort());
});
