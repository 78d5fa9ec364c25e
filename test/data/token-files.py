"""Writes token files as others do: numpy's .npy, nanoGPT's .bin (its ids with tofile), llm.c's .bin with its header.

    token-files.py FOLDER       the ids are their positions; uint32 ones have 65,536 added
"""

import os
import sys

import numpy

folder = sys.argv[1]
for name in ("reference", "nanogpt", "llmc", "wide", "many"):
    os.makedirs(f"{folder}/{name}")
ids = numpy.arange(6000, dtype=numpy.uint16)


def llmc(path, tokens, version):
    header = numpy.zeros(256, dtype=numpy.int32)
    header[:3] = (20240520, version, len(tokens))
    with open(path, "wb") as file:
        file.write(header.tobytes())
        file.write(tokens.tobytes())


# As the reference's data_script.py names them, and with more than ten, so that names and numbers sort differently.
for index in range(12):
    split = "val" if index == 0 else "train"
    numpy.save(f"{folder}/reference/shard_{split}_{index}.npy", ids[index * 500 : (index + 1) * 500])
ids[:5000].tofile(f"{folder}/nanogpt/train.bin")
ids[5000:].tofile(f"{folder}/nanogpt/val.bin")
llmc(f"{folder}/llmc/fineweb_train_000001.bin", ids[:5000], 1)
llmc(f"{folder}/llmc/fineweb_val_000000.bin", ids[5000:], 1)
llmc(f"{folder}/wide/train.bin", ids.astype(numpy.uint32) + 65536, 7)
numpy.save(f"{folder}/wide/val.npy", ids.astype(numpy.uint32) + 65536)
# Files that are not what they say, or not what is read.
llmc(f"{folder}/version.bin", ids, 3)
numpy.save(f"{folder}/signed.npy", ids.astype(numpy.int64))
numpy.save(f"{folder}/square.npy", ids.reshape(60, 100))
open(f"{folder}/short.npy", "wb").write(open(f"{folder}/wide/val.npy", "rb").read()[:-8])
open(f"{folder}/odd.bin", "wb").write(b"abc")
open(f"{folder}/text.npy", "wb").write(b"text")
