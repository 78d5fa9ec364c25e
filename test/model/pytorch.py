"""What PyTorch gives for the models' shapes: initial weights, and logits in training with dropout.

Arguments: the configuration as JSON, the file to write. Built from torch.nn alone.
"""

import json
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

config = json.loads(sys.argv[1])
C, T, DROPOUT = config["nEmbd"], config["blockSize"], config["dropout"]
wavenet = config.get("wavenet")


def wave_layer(factor):
    return nn.ModuleDict({"layernorm": nn.LayerNorm(C * factor), "linear": nn.Linear(C * factor, C)})


def decoder():
    parts = nn.ModuleDict({"mha": nn.MultiheadAttention(C, config["nHeads"], dropout=DROPOUT, batch_first=True)})
    net = nn.Sequential(nn.Linear(C, 4 * C), nn.GELU(), nn.Linear(4 * C, C), nn.Dropout(DROPOUT))
    parts["ffn"] = nn.ModuleDict({"net": net})
    parts["ln1"], parts["ln2"] = nn.LayerNorm(C), nn.LayerNorm(C)
    return parts


torch.manual_seed(config["seed"])
model = nn.Module()
model.token_emb = nn.Embedding(config["vocabSize"], C)
model.pos_emb = nn.Embedding(T, C)
model.decoders = nn.ModuleList(decoder() for _ in range(config["nLayers"]))
if wavenet:
    factor = wavenet["reshapeFactor"]
    factors = [factor] * wavenet["layers"]
    merged = factor ** wavenet["layers"]
    left = -(-T // merged)
    stack = nn.ModuleDict({"wavenet": nn.ModuleList(wave_layer(f) for f in factors)})
    if left > 1:
        stack["output_linear"] = wave_layer(left)
    model.wavenet = stack
    model.beta = nn.Parameter(torch.zeros(1))
model.ln = nn.LayerNorm(C)
model.linear = nn.Linear(C, config["vocabSize"])
out = {f"weights.{name}": value.clone() for name, value in model.state_dict().items()}

x = torch.randint(config["vocabSize"], (3, T))
previous = torch.randint(config["vocabSize"], (3, T))
if wavenet:
    model.beta.data.fill_(0.25)


def attend(block, x):
    size = x.shape[1]
    later = torch.ones(size, size, dtype=torch.bool).triu(1)
    # Dropout draws in the order of memory, and PyTorch gives a transposed view.
    return block["mha"](x, x, x, attn_mask=later, is_causal=True, need_weights=False)[0].contiguous()


def drop(x):
    return F.dropout(x, DROPOUT, training=True)


torch.manual_seed(config["seed"] + 1)
g = model.token_emb(x) + model.pos_emb.weight
for block in model.decoders:
    if config["block"] == "reference":
        g = block["ln1"](g)
        g = block["ln2"](g + attend(block, g))
        g = drop(g + block["ffn"]["net"](g))
    else:
        g = g + drop(attend(block, block["ln1"](g)))
        g = g + block["ffn"]["net"](block["ln2"](g))
if wavenet:
    h = model.token_emb(previous) + model.pos_emb.weight
    h = F.pad(h, (0, 0, left * merged - T, 0))
    layers = list(model.wavenet["wavenet"]) + ([model.wavenet["output_linear"]] if left > 1 else [])
    for layer in layers:
        joined = h.reshape(3, -1, layer["linear"].in_features)
        h = layer["linear"](layer["layernorm"](joined)).relu()
    g = g * (1 - model.beta) + h * model.beta
logits = model.linear(model.ln(g))
out |= {"x": x, "previous": previous, "logits": logits.detach()}
save_file({name: value.contiguous() for name, value in out.items()}, sys.argv[2])
