"""Python's tiktoken and tokenizers, for bench/tokenizer."""

import os
import sys
import time

from answer import answer

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "..", "test", "tokenizer"))

# Characters of a document: bench/tokenizer/bench.ts has the same.
DOCUMENT = 65536

state = {}


def load(ranks):
    import gpt2_tokens
    import tiktoken
    import tokenizers

    state["encoding"] = gpt2_tokens.gpt2(ranks)
    return {
        "tiktoken": tiktoken.__version__,
        "tokenizers": tokenizers.__version__,
        "python": sys.version.split()[0],
    }


def read(file):
    with open(file, encoding="utf-8", newline="") as opened:
        text = opened.read()
    state["text"] = text
    state["documents"] = [text[at : at + DOCUMENT] for at in range(0, len(text), DOCUMENT)]
    return len(state["encoding"].encode_ordinary(text))


def seconds(times, run):
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - begun


def train(vocabSize):
    import hugging_face

    return seconds(1, lambda: hugging_face.learn([state["text"]], vocabSize, 2))


def batch(times, threads, special):
    encoding, documents = state["encoding"], state["documents"]
    if not special:
        return seconds(times, lambda: encoding.encode_ordinary_batch(documents, num_threads=threads))
    given = ["<|endoftext|>" + document for document in documents]
    return seconds(times, lambda: encoding.encode_batch(given, num_threads=threads, allowed_special="all"))


answer(
    {
        "load": load,
        "read": read,
        "encode": lambda times: seconds(times, lambda: state["encoding"].encode_ordinary(state["text"])),
        "batch": batch,
        "train": train,
    }
)
