"""Counts the operations of bench/peer/model.py by torch.utils.flop_counter: for each configuration, by operator."""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "peer"))
from model import Model  # noqa: E402


class Retention(nn.Module):
    """Retention over one block, and the state after it. Its products with a state are baddbmm, and no others are."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkvg, self.out = nn.Linear(width, 4 * width), nn.Linear(width, width)

    def forward(self, x):
        rows, length, width = x.shape
        parts = self.qkvg(x).view(rows, length, 4, self.heads, -1).permute(2, 0, 3, 1, 4).flatten(1, 2)
        q, k, v, gates = parts
        state = torch.zeros(rows * self.heads, width // self.heads, width // self.heads)
        o = torch.baddbmm(torch.bmm(torch.bmm(q, k.mT).tril(), v), q, state)
        self.next = torch.baddbmm(state, k.detach().mT, v.detach())
        gated = (o * F.silu(gates)).view(rows, self.heads, length, -1).transpose(1, 2)
        return self.out(gated.reshape(rows, length, width))


class CausalModel(Model):
    """The decoder beside gated causal convolutions, as PyTorch's own convolutions."""

    def __init__(self, config):
        super().__init__({**config, "wavenet": None})
        width = config["nEmbd"]
        memory = config["wavenet"]["memory"]
        self.dilations = [2**layer for layer in range(config["wavenet"]["layers"] - memory)]
        self.retentions = nn.ModuleList(Retention(width, config["nHeads"]) for _ in range(memory))
        self.convs = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=d) for d in self.dilations)
        self.outs = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in self.dilations)
        # A share of zero that is not learnt leaves the WaveNet out.
        learnt = config["wavenet"]["alpha"] == "learned"
        self.share = nn.Parameter(torch.full((width,), 0.5)) if learnt else None

    def forward(self, x, previous, targets):
        hidden = self.decoders(self.embed(x))
        h, summed = self.token_emb(x).transpose(1, 2), 0
        for dilation, conv, out in zip(self.dilations, self.convs, self.outs):
            tanh, gate = conv(F.pad(h, (dilation, 0))).chunk(2, 1)
            y = out(tanh.tanh() * gate.sigmoid())
            h, summed = h + y, summed + y
        for retention in self.retentions:
            y = retention(h.transpose(1, 2)).transpose(1, 2)
            h, summed = h + y, summed + y
        if self.share is not None:
            hidden = torch.lerp(hidden, summed.transpose(1, 2), self.share)
        return F.cross_entropy(self.linear(self.ln(hidden)).flatten(0, 1), targets.reshape(-1))


def count(config):
    causal = config.get("wavenet", {}).get("mode") == "causal"
    model = (CausalModel if causal else Model)(config)
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
