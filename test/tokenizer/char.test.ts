import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { CharTokenizer, loadTokenizer, tokenizerFromJSON } from "../../src/tokenizer/index.js";

const folder = mkdtempSync(join(tmpdir(), "wavegpt-tokenizer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("CharTokenizer", () => {
  it("orders the vocabulary by code point, whatever the text's order", () => {
    const text = "z\n😀aéA\uFFFD a";
    const tokenizer = CharTokenizer.fromText(text);
    // U+FFFD comes before U+1F600 by code point, after it by UTF-16 unit.
    expect(tokenizer.characters).toEqual(["\n", " ", "A", "a", "z", "é", "\uFFFD", "😀"]);
    expect(tokenizer.vocabSize).toBe(8);
    expect(Array.from(tokenizer.encode(text))).toEqual([4, 0, 7, 3, 5, 2, 6, 1, 3]);
    const reversed = CharTokenizer.fromText([...text].reverse().join(""));
    expect(reversed.toJSON()).toEqual(tokenizer.toJSON());
  });

  it("gives text back, surrogate pairs and lone surrogates included", () => {
    const text = "a😀b\uD83D\uDE00\uD83D𝒳\uDE00c".repeat(3000);
    const tokenizer = CharTokenizer.fromText(text);
    const ids = tokenizer.encode(text);
    expect(ids).toBeInstanceOf(Uint16Array);
    expect(ids.length).toBe([...text].length);
    expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.encode("").length).toBe(0);
  });

  it("uses wider ids beyond 65,536 characters", () => {
    let text = "";
    for (let codePoint = 0x10000; codePoint <= 0x20100; codePoint++) {
      text += String.fromCodePoint(codePoint);
    }
    const tokenizer = CharTokenizer.fromText(text);
    expect(tokenizer.vocabSize).toBe(0x10101);
    const ids = tokenizer.encode(String.fromCodePoint(0x20100));
    expect(ids).toBeInstanceOf(Uint32Array);
    expect(ids[0]).toBe(0x10100);
    expect(tokenizer.decode(ids)).toBe(String.fromCodePoint(0x20100));
  });

  it("names an unknown character, its code point and where it stands", () => {
    const tokenizer = CharTokenizer.fromText("abc\n😀");
    const caught = (text: string): { code: string; message: string } => {
      try {
        tokenizer.encode(text);
      } catch (error) {
        return error as { code: string; message: string };
      }
      throw new Error("nothing was thrown");
    };
    const latin = caught("a😀\nb😀é");
    expect(latin.code).toBe("ERR_WAVEGPT_UNKNOWN_CHARACTER");
    expect(latin.message).toContain('character "é" (U+00E9) at position 5 (line 2, column 3)');
    expect(caught("a🤖").message).toContain('character "🤖" (U+1F916) at position 1');
    expect(caught("a\uD800").message).toContain('"\\ud800" (U+D800)');
    expect(caught("\t").message).toContain('"\\t" (U+0009) at position 0 (line 1, column 1)');
  });

  it("uses the replacement the user chose, adding it to the vocabulary", () => {
    const tokenizer = CharTokenizer.fromText("abc", { unknown: "?" });
    expect(tokenizer.characters).toEqual(["?", "a", "b", "c"]);
    expect(tokenizer.decode(tokenizer.encode("axb🤖\uD800c"))).toBe("a?b??c");
    const emoji = CharTokenizer.fromText("abc", { unknown: "🤖" });
    expect(emoji.decode(emoji.encode("axz"))).toBe("a🤖🤖");
    for (const unknown of ["", "ab", "🤖🤖"]) {
      expect(() => CharTokenizer.fromText("abc", { unknown })).toThrow(/exactly one character/);
    }
  });

  it("refuses an empty text and ids outside the vocabulary", () => {
    expect(() => CharTokenizer.fromText("")).toThrow(/at least one character/);
    const tokenizer = CharTokenizer.fromText("ab");
    expect(() => tokenizer.decode([0, 2])).toThrow(
      /token 2 at position 1 is outside the vocabulary of 2/,
    );
    expect(() => tokenizer.decode([-1])).toThrow(/token -1/);
    expect(() => tokenizer.decode([0.5])).toThrow(/token 0.5/);
  });

  it("encodes a megabyte in tens of milliseconds", () => {
    const text = "First Citizen:\nBefore we proceed any further, hear me speak.\n\n".repeat(17000);
    const tokenizer = CharTokenizer.fromText(text);
    tokenizer.encode(text);
    const best = Math.min(
      ...Array.from({ length: 5 }, () => {
        const start = performance.now();
        tokenizer.encode(text);
        return performance.now() - start;
      }),
    );
    expect(text.length).toBeGreaterThan(1_000_000);
    expect(best).toBeLessThan(90);
  });
});

describe("a saved tokenizer", () => {
  it("is read back the same", () => {
    const path = join(folder, "tokenizer.json");
    const text = "héllo\n\u2028😀\uD800";
    for (const unknown of [null, "?"]) {
      const tokenizer = CharTokenizer.fromText(text, { unknown });
      tokenizer.save(path);
      const loaded = loadTokenizer(path);
      expect(loaded.type).toBe("char");
      expect(loaded.toJSON()).toEqual(tokenizer.toJSON());
      expect(loaded.encode(text)).toEqual(tokenizer.encode(text));
      expect(loaded.decode(loaded.encode(text))).toBe(text);
    }
    expect(JSON.parse(readFileSync(path, "utf8")).unknown).toBe("?");
  });

  it("is refused where it is damaged, with what was expected", () => {
    const good = CharTokenizer.fromText("abc").toJSON();
    const cases: [unknown, RegExp][] = [
      [null, /"type" is one of "char", "gpt2", "ids", got none/],
      [{ ...good, type: "word" }, /"type" is one of "char", "gpt2", "ids", got "word"/],
      [{ ...good, type: "constructor" }, /got "constructor"/],
      [{ ...good, version: 2 }, /expected "version" 1, got 2/],
      [{ ...good, vocabulary: [] }, /at least one character/],
      [{ ...good, vocabulary: ["a", "bc"] }, /entry 1 of "vocabulary" must be one character/],
      [{ ...good, vocabulary: ["b", "a"] }, /entry 1 is "a" \(U\+0061\) after "b" \(U\+0062\)/],
      [{ ...good, vocabulary: ["a", "a"] }, /without repeats/],
      [{ ...good, unknown: "z" }, /"unknown" must be null or in "vocabulary", got "z"/],
    ];
    for (const [json, message] of cases) {
      expect(() => tokenizerFromJSON(json)).toThrow(message);
    }
    const path = join(folder, "broken.json");
    writeFileSync(path, "{");
    expect(() => loadTokenizer(path)).toThrow(/cannot load the tokenizer .*broken\.json/);
    expect(() => loadTokenizer(join(folder, "absent.json"))).toThrow(/absent\.json/);
  });
});
