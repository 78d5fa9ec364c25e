import { readFileSync } from "node:fs";
import { BPETokenizer, GPT2Tokenizer } from "../../src/tokenizer/index.js";
import { answer } from "../pairs/answer.js";
import { DOCUMENT, END_OF_TEXT } from "./bench.js";

const tokenizer = new GPT2Tokenizer();
let text = "";
let documents: string[] = [];

function seconds(run: () => void): number {
  const begun = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - begun) / 1e9;
}

await answer({
  read: ({ file }: { file: string }) => {
    text = readFileSync(file, "utf8");
    documents = [];
    for (let at = 0; at < text.length; at += DOCUMENT)
      documents.push(text.slice(at, at + DOCUMENT));
    return tokenizer.encode(text).length;
  },
  encode: ({ times }: { times: number }) =>
    seconds(() => {
      for (let i = 0; i < times; i++) tokenizer.encode(text);
    }),
  batch: ({ times, threads, special }: { times: number; threads: number; special: boolean }) => {
    const given = special ? documents.map((document) => END_OF_TEXT + document) : documents;
    const options = special ? ({ allowedSpecial: "all", threads } as const) : { threads };
    return seconds(() => {
      for (let i = 0; i < times; i++) tokenizer.encodeBatch(given, options);
    });
  },
  train: ({ vocabSize }: { vocabSize: number }) =>
    seconds(() => {
      BPETokenizer.train([text], { vocabSize });
    }),
});
