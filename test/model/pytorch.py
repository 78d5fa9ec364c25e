"""What PyTorch gives for the models' shapes: initial weights, and logits in training with dropout.

Arguments: a list of configurations as JSON, the folder to write 0.safetensors, 1.safetensors, ... into.
Built from torch.nn alone.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


def build(config):
    c, dropout = config["nEmbd"], config["dropout"]

    def wave_layer(factor):
        return nn.ModuleDict({"layernorm": nn.LayerNorm(c * factor), "linear": nn.Linear(c * factor, c)})

    def decoder():
        parts = nn.ModuleDict()
        parts["mha"] = nn.MultiheadAttention(c, config["nHeads"], dropout=dropout, batch_first=True)
        net = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c), nn.Dropout(dropout))
        parts["ffn"] = nn.ModuleDict({"net": net})
        parts["ln1"], parts["ln2"] = nn.LayerNorm(c), nn.LayerNorm(c)
        return parts

    model = nn.Module()
    model.token_emb = nn.Embedding(config["vocabSize"], c)
    model.pos_emb = nn.Embedding(config["blockSize"], c)
    model.decoders = nn.ModuleList(decoder() for _ in range(config["nLayers"]))
    if wavenet := config.get("wavenet"):
        factor, layers = wavenet["reshapeFactor"], wavenet["layers"]
        left = -(-config["blockSize"] // factor**layers)
        model.wavenet = nn.ModuleDict({"wavenet": nn.ModuleList(wave_layer(factor) for _ in range(layers))})
        if left > 1:
            model.wavenet["output_linear"] = wave_layer(left)
        model.window = left * factor**layers
        model.beta = nn.Parameter(torch.zeros(1))
    model.ln = nn.LayerNorm(c)
    model.linear = nn.Linear(c, config["vocabSize"])
    return model


def attend(block, x):
    later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    # Dropout draws in the order of memory, and PyTorch gives a transposed view.
    return block["mha"](x, x, x, attn_mask=later, is_causal=True, need_weights=False)[0].contiguous()


def forward(model, config, x, previous):
    def drop(x):
        return F.dropout(x, config["dropout"], training=True)

    g = model.token_emb(x) + model.pos_emb.weight
    for block in model.decoders:
        if config["block"] == "reference":
            g = block["ln1"](g)
            g = block["ln2"](g + attend(block, g))
            g = drop(g + block["ffn"]["net"](g))
        else:
            g = g + drop(attend(block, block["ln1"](g)))
            g = g + block["ffn"]["net"](block["ln2"](g))
    if config.get("wavenet"):
        h = model.token_emb(previous) + model.pos_emb.weight
        h = F.pad(h, (0, 0, model.window - h.shape[1], 0))
        layers = list(model.wavenet["wavenet"])
        if "output_linear" in model.wavenet:
            layers.append(model.wavenet["output_linear"])
        for layer in layers:
            joined = h.reshape(len(h), -1, layer["linear"].in_features)
            h = layer["linear"](layer["layernorm"](joined)).relu()
        g = g * (1 - model.beta) + h * model.beta
    return model.linear(model.ln(g))


for index, config in enumerate(json.loads(sys.argv[1])):
    torch.manual_seed(config["seed"])
    model = build(config)
    out = {f"weights.{name}": value.clone() for name, value in model.state_dict().items()}
    x, previous = torch.randint(config["vocabSize"], (2, 3, config["blockSize"]))
    if config.get("wavenet"):
        model.beta.data.fill_(0.25)
    torch.manual_seed(config["seed"] + 1)
    logits = forward(model, config, x, previous).detach()
    out |= {"x": x.clone(), "previous": previous.clone(), "logits": logits}
    save_file(out, Path(sys.argv[2]) / f"{index}.safetensors")
