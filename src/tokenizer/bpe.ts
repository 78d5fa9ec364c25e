import { createHash } from "node:crypto";
import { BytePairTokenizer } from "./byte-pair.js";
import { readHuggingFace } from "./hugging-face.js";
import { tokenizerLibrary } from "./native.js";
import type { TokenizerIdentity } from "./tokenizer.js";
import { TokenizerTraining, type TrainTokenizerOptions } from "./train.js";

/**
 * A byte-level BPE of a Hugging Face `tokenizer.json`, or learnt from texts.
 *
 *     const tokenizer = BPETokenizer.train([text], { vocabSize: 4096 });
 *     tokenizer.save("tokenizer.json"); // Python's tokenizers read it, too
 *
 * Needs no libtorch.
 */
export class BPETokenizer extends BytePairTokenizer {
  readonly type = "bpe";
  readonly #json: unknown;

  private constructor(json: unknown) {
    const { definition, ...parts } = readHuggingFace(json);
    super({ ...parts, encoding: new (tokenizerLibrary().Encoding)(definition) });
    this.#json = json;
  }

  /**
   * @param json - the content of a `tokenizer.json` of Hugging Face's tokenizers
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming what is not supported
   */
  static fromJSON(json: unknown): BPETokenizer {
    return new BPETokenizer(json);
  }

  /**
   * Learns merges from texts.
   *
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming the option that is wrong
   */
  static train(texts: Iterable<string | Uint8Array>, options: TrainTokenizerOptions): BPETokenizer {
    const training = new TokenizerTraining();
    for (const text of texts) training.add(text);
    return BPETokenizer.fromJSON(training.learn(options));
  }

  describe(): TokenizerIdentity {
    const sha256 = createHash("sha256").update(JSON.stringify(this)).digest("hex");
    return { kind: this.type, vocabSize: this.vocabSize, sha256 };
  }

  toJSON(): unknown {
    return this.#json;
  }
}
