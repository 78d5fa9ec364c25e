# GPT-2's encoding by Python's tiktoken, which would download its ranks: built of those in the npm package tiktoken.
#
#   gpt2_tokens.py RANKS.json tokens TEXT ENCODING OUT    the text's tokens, as uint32; invalid bytes are replaced
#   gpt2_tokens.py RANKS.json classes OUT                 a byte for each code point: 1 \p{L}, 2 \p{N}, 3 \s, else 0
import base64
import json
import sys

import numpy
import tiktoken

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def gpt2(file):
    with open(file, encoding="utf-8") as opened:
        lines = json.load(opened)["bpe_ranks"].split("\n")
    ranks = {}
    for line in lines:
        _, first, *tokens = line.split(" ")
        for i, token in enumerate(tokens):
            ranks[base64.b64decode(token)] = int(first) + i
    return tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}, explicit_n_vocab=50257
    )


def classes():
    found = numpy.zeros(0x110000, dtype=numpy.uint8)
    text = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
    for value, pattern in ((1, r"\p{L}"), (2, r"\p{N}"), (3, r"\s")):
        # What the pattern does not match has no tokens.
        encoding = tiktoken.Encoding(
            pattern, pat_str=pattern, mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={}
        )
        for character in encoding.decode(encoding.encode_ordinary(text)):
            found[ord(character)] = value
    return found


if __name__ == "__main__":
    ranks, command, *rest = sys.argv[1:]
    if command == "tokens":
        file, encoding, out = rest
        with open(file, "rb") as opened:
            data = opened.read()
        text = data.decode(encoding, "surrogatepass" if encoding == "utf-16-le" else "replace")
        numpy.array(gpt2(ranks).encode_ordinary(text), dtype=numpy.uint32).tofile(out)
    else:
        classes().tofile(rest[0])
