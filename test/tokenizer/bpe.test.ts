import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../lib/package-root.js";
import { BPETokenizer, loadTokenizer, tokenizerFromJSON } from "../../src/tokenizer/index.js";
import { pythonFile } from "../python.js";
import { mixedText } from "./mixed-text.js";
import { difference, inFolder, readIds } from "./peers.js";

const SCRIPT = path.join(packageRoot(), "test", "tokenizer", "hugging_face.py");
const parts = new Map([...mixedText(1)].map(([name, bytes]) => [name, bytes.subarray(0, 4e4)]));
const texts = [...parts.values()];
const all = { allowedSpecial: "all" } as const;

interface Model {
  readonly model: { readonly vocab: Record<string, number>; readonly merges: unknown[] };
}

/** Writes texts as the script reads them. */
function writeTexts(folder: string, list: readonly Uint8Array[]): string {
  const file = path.join(folder, "texts");
  let end = 0;
  const ends = list.map((text) => {
    end += text.length;
    return end;
  });
  writeFileSync(file, Buffer.concat(list));
  writeFileSync(`${file}.ends`, Uint32Array.from(ends));
  return file;
}

/** The tokens of all texts by Python's tokenizers. */
function encodedBy(tokenizer: string, list: readonly Uint8Array[]): Uint32Array {
  return inFolder((folder) => {
    const output = path.join(folder, "tokens");
    pythonFile(SCRIPT, "encode", tokenizer, writeTexts(folder, list), output);
    return readIds(output);
  });
}

function encodeAll(tokenizer: BPETokenizer, list: readonly Uint8Array[]): Uint32Array {
  return Uint32Array.from(list.flatMap((text) => [...tokenizer.encode(text, all)]));
}

describe("BPETokenizer beside Python's tokenizers", () => {
  test.each([
    [300, 2],
    [4096, 2],
    [100_000, 3],
  ])(
    "learns the same vocabulary of %i tokens that occur at least %i times",
    (vocabSize, minFrequency) => {
      inFolder((folder) => {
        const file = path.join(folder, "tokenizer.json");
        const input = writeTexts(folder, texts);
        pythonFile(SCRIPT, "train", input, String(vocabSize), String(minFrequency), file);
        const expected = JSON.parse(readFileSync(file, "utf8")) as Model;
        const got = BPETokenizer.train(texts, { vocabSize, minFrequency }).toJSON() as Model;
        expect(got.model.merges).toEqual(expected.model.merges);
        expect(got.model.vocab).toEqual(expected.model.vocab);
      });
    },
  );

  test("gives the same tokens, and is read by Python's tokenizers", () => {
    inFolder((folder) => {
      const file = path.join(folder, "tokenizer.json");
      const tokenizer = BPETokenizer.train(texts.slice(0, 6), { vocabSize: 3000 });
      tokenizer.save(file);
      const expected = encodedBy(file, texts);
      expect(difference(encodeAll(tokenizer, texts), expected)).toBeNull();
      const loaded = loadTokenizer(file) as BPETokenizer;
      expect(difference(encodeAll(loaded, texts), expected)).toBeNull();
      expect(loaded.describe()).toEqual(tokenizer.describe());
    });
  });

  test("gives the same tokens with other patterns, added tokens, a prefix, NFC", () => {
    const hard = [
      ..."it'ſ IT'S we'LL x'd 12345 1a ½½½½ a\r\n\r\nb\n  c \n d  \n\n  e\t!?\n\n x\u00a0y|añadid é étés add added adding",
    ].join("");
    const special =
      "a<|endoftext|>b <|im_start|>c <|im|> e\u0301te\u0301 \u1100\u1161 <|endoftext|>";
    const hardest = [hard, special].map((text) => new TextEncoder().encode(text));
    // Node and tokenizers order combining marks by different versions of Unicode.
    const settled = [...parts].filter(([name]) => !/code point|other scripts|invalid/.test(name));
    inFolder((folder) => {
      pythonFile(SCRIPT, "variants", writeTexts(folder, texts), folder);
      for (const name of ["prefix", "cl100k", "qwen2"]) {
        const file = path.join(folder, `${name}.json`);
        const tokenizer = loadTokenizer(file) as BPETokenizer;
        const list = [...hardest, ...(name === "qwen2" ? settled.map(([, text]) => text) : texts)];
        const expected = encodedBy(file, list);
        expect(difference(encodeAll(tokenizer, list), expected), name).toBeNull();
        const batch = tokenizer.encodeBatch(list, { ...all, threads: 3 });
        expect(batch.length).toBe(list.length);
        const batched = Uint32Array.from(batch.flatMap((ids) => [...ids]));
        expect(difference(batched, expected), name).toBeNull();
        expect(() => tokenizer.encodeBatch(list, { ...all, threads: -1 })).toThrow(
          "expected a number of threads",
        );
      }
    });
  });
});

describe("BPETokenizer", () => {
  const text = "the cat sat on the mat, and the other cat sat on the hat. ".repeat(40);
  const tokenizer = BPETokenizer.train([text], { vocabSize: 300 });

  test("gives any text back, and shortens what it learnt from", () => {
    for (const bytes of texts) {
      const expected = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      expect(tokenizer.decode(tokenizer.encode(bytes)) === expected).toBe(true);
    }
    expect(tokenizer.encode(text).length).toBeLessThan(text.length / 2);
  });

  test("stops where there is nothing to merge", () => {
    const small = BPETokenizer.train(["ab ab"], { vocabSize: 1000 });
    expect(small.vocabSize).toBe(258);
    expect(small.endOfText).toBe(0);
    const none = BPETokenizer.train([""], { vocabSize: 400, special: [] });
    expect(none.vocabSize).toBe(256);
    expect(none.endOfText).toBeNull();
    expect(none.decode(none.encode("é"))).toBe("é");
  });

  test("keeps special tokens out of text", () => {
    expect([...tokenizer.encode("the<|endoftext|>")]).not.toContain(0);
    expect([...tokenizer.encode("<|endoftext|>", all)]).toEqual([0]);
    expect(() => BPETokenizer.train([text], { vocabSize: 300, special: ["the"] })).toThrow(
      'expected names that the texts do not have as words, got "the"',
    );
  });

  test("refuses sizes that make no vocabulary", () => {
    for (const vocabSize of [0, 256, 1.5, Number.NaN, 2 ** 30]) {
      expect(() => BPETokenizer.train([text], { vocabSize })).toThrow(
        `vocabSize: expected a whole number from 257`,
      );
    }
    expect(() => BPETokenizer.train([text], { vocabSize: 300, minFrequency: 0 })).toThrow(
      "minFrequency: expected",
    );
  });

  test("refuses by name what it would not do as Hugging Face's tokenizers do", () => {
    const json = JSON.parse(JSON.stringify(tokenizer));
    const [added] = json.added_tokens;
    const { model } = json;
    const byteLevel = json.pre_tokenizer;
    const split = (pattern: object) => ({
      type: "Split",
      pattern,
      behavior: "Isolated",
      invert: false,
    });
    const after = { ...byteLevel, use_regex: false };
    const cases: readonly (readonly [object, string])[] = [
      [{ normalizer: { type: "Lowercase" } }, 'normalizer.type: expected "NFC", got "Lowercase"'],
      [
        { pre_tokenizer: { type: "Metaspace" } },
        "pre_tokenizer: expected ByteLevel, or a Sequence",
      ],
      [{ pre_tokenizer: null }, "pre_tokenizer: expected ByteLevel, or a Sequence"],
      [{ pre_tokenizer: after }, "pre_tokenizer.use_regex: expected true"],
      [
        { pre_tokenizer: { type: "Sequence", pretokenizers: [split({ Regex: "\\w+" }), after] } },
        'got "\\\\w+"',
      ],
      [{ model: { ...model, type: "Unigram" } }, 'model.type: expected "BPE", got "Unigram"'],
      [
        { model: { ...model, byte_fallback: true } },
        "model.byte_fallback: expected false, got true",
      ],
      [{ model: { ...model, dropout: 0.1 } }, "model.dropout"],
      [{ model: { ...model, continuing_subword_prefix: "##" } }, "model.continuing_subword_prefix"],
      [{ model: { ...model, merges: [["t", "zz"]] } }, 'got ["t","zz"]'],
      [{ model: { ...model, merges: ["t"] } }, 'got "t"'],
      [{ model: { ...model, vocab: { ...model.vocab, "€": 300 } } }, 'got "€"'],
      [{ model: { ...model, vocab: { ...model.vocab, aaa: 1 } } }, "have one id, 1"],
      [{ model: { ...model, vocab: { a: 1 }, merges: [] } }, "a token for each of the 256 bytes"],
      [
        { added_tokens: [{ ...added, lstrip: true }] },
        "added_tokens.0.lstrip: expected false, got true",
      ],
      [{ truncation: { max_length: 5 } }, "truncation: expected null"],
    ];
    for (const [change, message] of cases) {
      expect(() => tokenizerFromJSON({ ...json, ...change }), message).toThrow(message);
    }
    expect(tokenizerFromJSON(json)).toBeInstanceOf(BPETokenizer);
    // Older files name no type and write a merge as one string.
    const { type: _, ...untyped } = model;
    const merges = model.merges.map((pair: string[]) => pair.join(" "));
    const old = tokenizerFromJSON({ ...json, model: { ...untyped, merges } });
    expect(old.encode(text)).toEqual(tokenizer.encode(text));
  });
});
