# Byte-level BPE by Python's tokenizers.
#
#   hugging_face.py train TEXTS VOCAB MIN_FREQUENCY OUT     learns from texts, each at its offset in a file (see read)
#   hugging_face.py encode TOKENIZER.json TEXTS OUT         their tokens as uint32, one text after the other
#   hugging_face.py variants TEXTS FOLDER                   tokenizers with what else is supported, learnt from the texts
import json
import sys

import numpy
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def read(file):
    """A file of texts: FILE.ends has where each ends."""
    with open(file, "rb") as opened:
        data = opened.read()
    begin, texts = 0, []
    for end in numpy.fromfile(file + ".ends", dtype=numpy.uint32):
        texts.append(data[begin:end].decode("utf-8", "replace"))
        begin = end
    return texts


def learn(texts, vocab, min_frequency, pre_tokenizer=None, ignore_merges=False, special=("<|endoftext|>",)):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        min_frequency=min_frequency,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def split(regex):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def variants(texts):
    yield "prefix", learn(texts, 2000, 2, pre_tokenizers.ByteLevel(add_prefix_space=True))
    cl100k = learn(texts, 3000, 2, split(CL100K % r"\p{N}{1,3}"), ignore_merges=True)
    cl100k.add_tokens(["added", "add", AddedToken("\u00e9t\u00e9 ", normalized=False)])
    yield "cl100k", cl100k
    qwen2 = learn(texts, 3000, 2, split(CL100K % r"\p{N}"), special=("<|endoftext|>", "<|im_start|>", "<|im"))
    qwen2.normalizer = normalizers.NFC()
    yield "qwen2", qwen2


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "train":
        texts, vocab, min_frequency, out = rest
        learn(read(texts), int(vocab), int(min_frequency)).save(out)
    elif command == "encode":
        tokenizer, texts, out = rest
        loaded = Tokenizer.from_file(tokenizer)
        ids = [numpy.array(loaded.encode(text, add_special_tokens=False).ids, numpy.uint32) for text in read(texts)]
        numpy.concatenate(ids).tofile(out)
    else:
        texts, folder = rest
        for name, tokenizer in variants(read(texts)):
            tokenizer.save(f"{folder}/{name}.json")
