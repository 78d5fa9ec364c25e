"""nanoGPT's forward pass in PyTorch's functions, from a file of weights: logits, loss and gradients."""

import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

weights_file, batch_file, out_file, heads = *sys.argv[1:4], int(sys.argv[4])
w = {name: tensor.requires_grad_() for name, tensor in load_file(weights_file).items()}
# One tensor under two names, as nanoGPT ties them.
w["linear.weight"] = w["token_emb.weight"]
batch = load_file(batch_file)
x, targets = batch["x"], batch["targets"]
rows, length = x.shape
width = w["token_emb.weight"].shape[1]


def norm(h, name):
    return F.layer_norm(h, (width,), w[name])


h = F.embedding(x, w["token_emb.weight"]) + w["pos_emb.weight"][:length]
hidden_after_positions = torch.full((length, length), float("-inf")).triu(1)
for block in range(sum(name.endswith("ln1.weight") for name in w)):
    p = f"decoders.{block}."
    normed = norm(h, p + "ln1.weight")
    q, k, v = (
        part.view(rows, length, heads, -1).transpose(1, 2)
        for part in (normed @ w[p + "mha.in_proj_weight"].T).split(width, dim=2)
    )
    scores = q @ k.transpose(2, 3) / (width // heads) ** 0.5 + hidden_after_positions
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, width)
    h = h + mixed @ w[p + "mha.out_proj.weight"].T
    inner = F.gelu(norm(h, p + "ln2.weight") @ w[p + "ffn.net.0.weight"].T)
    h = h + inner @ w[p + "ffn.net.2.weight"].T
logits = norm(h, "ln.weight") @ w["linear.weight"].T
loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
loss.backward()
gradients = {f"grad.{name}": t.grad for name, t in w.items() if name != "linear.weight"}
save_file({"logits": logits.detach(), "loss": loss.detach(), **gradients}, out_file)
