"""Writes documents (JSON lists) in the formats that others write: parquet by pyarrow, compressed JSON lines.

    documents.py parquet IN.json OUT.parquet CODEC ROWS_PER_GROUP COLUMNS
    documents.py jsonl IN.json OUT.jsonl[.gz|.zst]
    documents.py shards FOLDER TOKENIZER.json IN.json VALIDATION   the tokens that ought to be there, as train.npy, val.npy
"""

import gzip
import hashlib
import json
import sys

import numpy
import pyarrow
import pyarrow.parquet

command, *arguments = sys.argv[1:]
if command == "parquet":
    source, target, codec, rows, columns = arguments
    texts = json.load(open(source, encoding="utf-8"))
    table = {"id": list(range(len(texts))), "text": texts}
    if columns == "text":
        del table["id"]
    if columns == "junk":
        noise = numpy.random.default_rng(0)
        table["junk"] = [noise.bytes(2000) for _ in texts]
    # Both kinds of pages, with dictionaries and without.
    pyarrow.parquet.write_table(
        pyarrow.table(table),
        target,
        compression=codec,
        row_group_size=int(rows),
        use_dictionary=codec in ("gzip", "snappy"),
        data_page_version="2.0" if codec in ("zstd", "snappy") else "1.0",
        data_page_size=1 << 15,
        write_page_checksum=True,
    )
elif command == "jsonl":
    source, target = arguments
    lines = "".join(
        json.dumps({"text": text}, ensure_ascii=False) + "\n"
        for text in json.load(open(source, encoding="utf-8"))
    ).encode()
    if target.endswith(".zst"):
        with pyarrow.CompressedOutputStream(target, "zstd") as file:
            file.write(lines)
    else:
        with gzip.open(target, "wb") as file:
            file.write(lines)
elif command == "shards":
    folder, tokenizer, source, validation = arguments
    ids = {c: i for i, c in enumerate(json.load(open(tokenizer, encoding="utf-8"))["vocabulary"])}
    parts = {"train": [], "val": []}
    for text in json.load(open(source, encoding="utf-8")):
        digest = hashlib.sha256(text.encode()[: 1 << 20]).digest()
        held_out = int.from_bytes(digest[:6], "big") < float(validation) * 2**48
        parts["val" if held_out else "train"].extend(ids[c] for c in text)
    for name, tokens in parts.items():
        numpy.save(f"{folder}/{name}.npy", numpy.array(tokens, dtype=numpy.uint16))
