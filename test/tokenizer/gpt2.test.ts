import { describe, expect, test } from "vitest";
import { GPT2Tokenizer, tokenizerFromJSON } from "../../src/tokenizer/index.js";
import { type NativeEncoding, tokenizerLibrary } from "../../src/tokenizer/native.js";
import { mixedText } from "./mixed-text.js";
import { difference, tiktoken, tiktokenClasses } from "./peers.js";

const tokenizer = new GPT2Tokenizer();

describe("GPT2Tokenizer beside Python's tiktoken", () => {
  const parts = mixedText(3);

  test("gives the same tokens for mixed text, as bytes", () => {
    const bytes = Buffer.concat([...parts.values()]);
    expect(bytes.length).toBeGreaterThan(3e6);
    expect(difference(tokenizer.encode(bytes), tiktoken(bytes))).toBeNull();
  });

  test("gives the same tokens for strings, lone surrogates among them", () => {
    const surrogates = "a\ud800b \udc00\udc00 \ud83d\ude00\ud83d \udbff";
    const text = `${new TextDecoder().decode(Buffer.concat([...parts.values()]))}${surrogates}`;
    expect(difference(tokenizer.encode(text), tiktoken(text))).toBeNull();
    expect(difference(tokenizer.encode(surrogates), tiktoken(surrogates))).toBeNull();
  });

  test("has every code point in the class that it is to tiktoken", () => {
    const expected = tiktokenClasses();
    const before = ["a", "1", "!"];
    const encoding = joining(before);
    for (let c = 0; c < 0x110000; c++) {
      if (c >= 0xd800 && c <= 0xdfff) continue;
      const text = String.fromCodePoint(c);
      // One word where the two are of one class; nothing joins a space.
      const joined = before.findIndex(
        (first) => encoding.encode(first + text).length < 1 + Buffer.byteLength(text),
      );
      const found = [3, 1, 2, 0][joined + 1];
      if (found !== expected[c]) expect(`U+${c.toString(16)}: ${found}`).toBe(expected[c]);
    }
    const counts = [1, 2, 3].map((value) => expected.filter((found) => found === value).length);
    expect(counts).toEqual([141_028, 1911, 25]);
  });
});

/** An encoding in which each of these characters is merged with any byte that follows it in a word. */
function joining(characters: readonly string[]): NativeEncoding {
  const { Encoding } = tokenizerLibrary();
  const single = Array.from({ length: 256 }, (_, byte) => [byte]);
  const tokens = [
    ...single,
    ...characters.flatMap((c) => single.map(([byte]) => [c.charCodeAt(0), byte!])),
  ];
  let end = 0;
  return new Encoding({
    pattern: "gpt2",
    bytes: Uint8Array.from(tokens.flat()),
    ends: Uint32Array.from(tokens, (token) => {
      end += token.length;
      return end;
    }),
    special: new Uint32Array(0),
    merges: null,
    ignoreMerges: true,
  });
}

describe("GPT2Tokenizer", () => {
  test("makes <|endoftext|> of text only where it is allowed to", () => {
    const text = "a<|endoftext|>b<|endoftext|>";
    expect(tokenizer.endOfText).toBe(50256);
    expect([...tokenizer.encode(text)]).not.toContain(50256);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect([...tokenizer.encode(text, { allowedSpecial: "all" })]).toEqual([64, 50256, 65, 50256]);
    expect([...tokenizer.encode(text, { allowedSpecial: ["<|endoftext|>"] })]).toEqual([
      64, 50256, 65, 50256,
    ]);
    expect(() => tokenizer.encode(text, { allowedSpecial: ["<pad>"] })).toThrow(
      'expected special tokens of this vocabulary ("<|endoftext|>"), got "<pad>"',
    );
  });

  test("decodes what it encoded, byte for byte", () => {
    for (const [name, bytes] of mixedText(1)) {
      if (name === "invalid UTF-8") continue;
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      expect(tokenizer.decode(tokenizer.encode(text)) === text, name).toBe(true);
    }
    expect(tokenizer.decode(tokenizer.encode("\ufeffa"))).toBe("\ufeffa");
    expect(tokenizer.encode("")).toEqual(new Uint32Array(0));
    expect(tokenizer.decode([])).toBe("");
  });

  test("never shows half a character", () => {
    const text = "naïve 日本語 👩‍👩‍👧‍👦 é𝔘 \u{10fffd}!";
    const decoder = tokenizer.decoder();
    const pieces = Array.from(tokenizer.encode(text), (id) => decoder.write(id));
    expect(pieces.filter((piece) => piece.includes("\ufffd"))).toEqual([]);
    expect(pieces.length).toBeGreaterThan(pieces.filter((piece) => piece !== "").length);
    expect(pieces.join("") + decoder.end()).toBe(text);
    const cut = tokenizer.decoder();
    expect(cut.write(tokenizer.encode("\u{10fffd}")[0]!)).toBe("");
    expect(cut.end()).toBe("\ufffd");
  });

  test("names ids and input that it cannot take", () => {
    expect(() => tokenizer.decode([0, 50257])).toThrow(
      "token 50257 at position 1 is not in the vocabulary of 50257 tokens",
    );
    for (const id of [-1, 1.5, Number.NaN, 2 ** 32]) {
      expect(() => tokenizer.decode([id])).toThrow(`token ${id} at position 0 is outside`);
    }
    expect(() => tokenizer.encode(1 as unknown as string)).toThrow(
      "expected text as a string or a Uint8Array of UTF-8",
    );
  });

  test("encodes a batch as one by one, by any number of threads", () => {
    const texts = [...mixedText(1).values(), "", "one\ud800"].flatMap((text) =>
      typeof text === "string" ? [text] : [text, new TextDecoder().decode(text)],
    );
    const expected = texts.map((text) => tokenizer.encode(text));
    for (const threads of [1, 2, 7]) {
      const batch = tokenizer.encodeBatch(texts, { threads });
      expect(batch.length).toBe(texts.length);
      batch.forEach((ids, i) => {
        expect(difference(ids, expected[i]!)).toBeNull();
      });
    }
    expect([
      ...tokenizer.encodeBatch(["<|endoftext|>"], { allowedSpecial: "all" }).map((ids) => [...ids]),
    ]).toEqual([[50256]]);
  });

  test("is known again from its JSON, and says what it is", () => {
    const json = JSON.parse(JSON.stringify(tokenizer));
    expect(json.type).toBe("gpt2");
    const again = tokenizerFromJSON(json);
    expect(again).toBeInstanceOf(GPT2Tokenizer);
    expect(again.describe()).toEqual({
      kind: "gpt2",
      vocabSize: 50257,
      sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    });
    expect(() => tokenizerFromJSON({ ...json, sha256: "0" })).toThrow("not GPT-2's tokenizer");
  });

  test("takes time in proportion to hostile text", () => {
    const hostile = ["a", " ", "ab", "'", "😀", "\u0301", "lkqwjeoiqwje", " a"];
    const seconds = (text: string) => {
      const begun = performance.now();
      tokenizer.encode(text);
      return performance.now() - begun;
    };
    for (const unit of hostile) {
      // Both larger than the caches. Quadratic growth would be a factor of 16; the best of several leaves out what
      // other programs take.
      const times = [1e6, 4e6].map((size) => {
        const text = unit.repeat(size / unit.length);
        return Math.min(...Array.from({ length: 2 }, () => seconds(text)));
      });
      expect(times[1]! / times[0]!, JSON.stringify(unit)).toBeLessThan(10);
    }
  });
});
