import { malformed } from "./malformed.js";

/**
 * Refuses what JSON.parse lets pass and the format forbids: a key twice in one object (the later one would
 * silently win) and numbers that are not plain integers. `text` must be valid JSON.
 */
export function checkStrictJson(text: string, where: string): void {
  // One entry for each open object (its keys so far) or array (null).
  const open: (Set<string> | null)[] = [];
  let keyExpected = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === 0x22) {
      const end = stringEnd(text, at);
      const keys = open.at(-1);
      if (keyExpected && keys) {
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        if (keys.has(key)) {
          throw malformed(where, `the header has the key ${JSON.stringify(key)} twice`);
        }
        keys.add(key);
        keyExpected = false;
      }
      at = end;
    } else if (char === 0x7b) {
      open.push(new Set());
      keyExpected = true;
    } else if (char === 0x5b) {
      open.push(null);
      keyExpected = false;
    } else if (char === 0x7d || char === 0x5d) {
      open.pop();
      keyExpected = false;
    } else if (char === 0x2c) {
      keyExpected = open.at(-1) instanceof Set;
    } else if (char === 0x2d || (char >= 0x30 && char <= 0x39)) {
      const number = /[-+.0-9eE]+/y;
      number.lastIndex = at;
      const literal = number.exec(text)?.[0] ?? "";
      if (!/^\d+$/.test(literal)) {
        throw malformed(where, `the header has ${literal} where a non-negative integer belongs`);
      }
      at += literal.length - 1;
    }
  }
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text.charCodeAt(at) !== 0x22) {
    at += text.charCodeAt(at) === 0x5c ? 2 : 1;
  }
  return at;
}
