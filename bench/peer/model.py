"""GPT and WaveGPT (mode "previous") as one would write them in PyTorch: the parameters, names and numbers of src/model/."""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).reshape(b, t, c))


class FeedForward(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x):
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, width, heads, dropout, block):
        super().__init__()
        self.mha = Attention(width, heads, dropout)
        self.ffn = FeedForward(width, dropout)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.block = block

    def forward(self, x):
        if self.block == "reference":
            x = self.ln1(x)
            x = self.ln2(x + self.mha(x))
            return self.dropout(x + self.ffn(x))
        x = x + self.dropout(self.mha(self.ln1(x)))
        return x + self.ffn(self.ln2(x))


class WaveNetLayer(nn.Module):
    def __init__(self, width, factor):
        super().__init__()
        self.layernorm = nn.LayerNorm(width * factor)
        self.linear = nn.Linear(width * factor, width)
        self.factor = factor

    def forward(self, x):
        b, length, c = x.shape
        joined = x.reshape(b, length // self.factor, c * self.factor)
        return self.linear(self.layernorm(joined)).relu()


class WaveNet(nn.Module):
    def __init__(self, block_size, width, layers, factor):
        super().__init__()
        self.wavenet = nn.Sequential(*(WaveNetLayer(width, factor) for _ in range(layers)))
        merged = factor**layers
        left = -(-block_size // merged)
        self.output_linear = WaveNetLayer(width, left) if left > 1 else None
        self.window = left * merged

    def forward(self, x):
        if self.window > x.shape[1]:
            x = F.pad(x, (0, 0, self.window - x.shape[1], 0))
        x = self.wavenet(x)
        return x if self.output_linear is None else self.output_linear(x)


class Model(nn.Module):
    """`config` is the resolved configuration of src/model/config.ts; without "wavenet" it is a GPT."""

    def __init__(self, config):
        super().__init__()
        width, block_size = config["nEmbd"], config["blockSize"]
        self.token_emb = nn.Embedding(config["vocabSize"], width)
        self.pos_emb = nn.Embedding(block_size, width)
        self.decoders = nn.Sequential(
            *(
                Decoder(width, config["nHeads"], config["dropout"], config["block"])
                for _ in range(config["nLayers"])
            )
        )
        wavenet = config.get("wavenet")
        if wavenet is None:
            self.wavenet = None
        else:
            self.wavenet = WaveNet(block_size, width, wavenet["layers"], wavenet["reshapeFactor"])
            self.beta = nn.Parameter(torch.zeros(1))
        self.ln = nn.LayerNorm(width)
        self.linear = nn.Linear(width, config["vocabSize"])

    def embed(self, tokens):
        return self.token_emb(tokens) + self.pos_emb.weight[: tokens.shape[1]]

    def forward(self, x, previous, targets):
        hidden = self.decoders(self.embed(x))
        if self.wavenet is not None:
            summary = self.wavenet(self.embed(previous))
            hidden = hidden * (1 - self.beta) + summary * self.beta
        logits = self.linear(self.ln(hidden))
        return F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1))
