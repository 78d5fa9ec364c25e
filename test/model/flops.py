"""Counts the operations of bench/peer/model.py by torch.utils.flop_counter: for each configuration, by operator."""

import json
import sys
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "peer"))
from model import Model  # noqa: E402


def count(config):
    model = Model(config)
    rows, length = 2, config["blockSize"]
    tokens = torch.randint(config["vocabSize"], (3, rows, length))
    x, previous, targets = tokens.unbind(0)
    counted = {}
    # The composed form of attention, so that its products are counted one by one.
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as counter:
            loss = model(x, previous, targets)
        counted["forward"] = by_operator(counter)
        with FlopCounterMode(display=False) as counter:
            loss.backward()
        counted["backward"] = by_operator(counter)
    return {
        part: {name: flops / (rows * length) for name, flops in operators.items()}
        for part, operators in counted.items()
    }


def by_operator(counter):
    return {str(operator): flops for operator, flops in counter.get_flop_counts()["Global"].items()}


print(json.dumps([count(config) for config in json.loads(sys.argv[1])]))
