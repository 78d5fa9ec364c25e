"""PyTorch's side of the kernels: the work of each of our operators as one would write it, by the case's name."""

import contextlib
import platform
import time

import torch
import torch.nn.functional as F
from answer import answer


def dropout_mask(settings, ones):
    return [F.dropout(ones, settings["p"])]


def linear(settings, x, weight, bias):
    return [F.linear(x, weight, bias)]


def linear_gelu(settings, x, weight, bias):
    return [F.gelu(F.linear(x, weight, bias))]


def mlp(settings, x, w1, b1, w2, b2):
    return [F.linear(F.gelu(F.linear(x, w1, b1)), w2, b2)]


def add_dropout_layer_norm(settings, residual, x, weight, bias):
    total = residual + F.dropout(x, settings["p"])
    return [total, F.layer_norm(total, weight.shape, weight, bias, settings["eps"])]


def attention(settings, qkv):
    b, t, c = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    heads = settings["heads"]
    q, k, v = qkv.view(b, t, 3, heads, c // heads).permute(2, 0, 3, 1, 4).unbind(0)
    mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=settings["p"], is_causal=True)
    return [mixed.transpose(1, 2).reshape(b, t, c)]


def linear_cross_entropy(settings, x, weight, bias, target):
    return [F.cross_entropy(F.linear(x, weight, bias), target)]


def token_position_embedding(settings, tokens, token_weight, position_weight):
    return [F.embedding(tokens, token_weight) + position_weight[: tokens.shape[1]]]


def wave_layer(settings, x, norm_weight, norm_bias, weight, bias):
    b, length, c = x.shape
    factor = settings["factor"]
    joined = x.reshape(b, length // factor, c * factor)
    normed = F.layer_norm(joined, norm_weight.shape, norm_weight, norm_bias, settings["eps"])
    return [F.linear(normed, weight, bias).relu()]


def gated_conv(settings, x, past, w1, b1, w2, b2):
    before = torch.cat([past.to(x.dtype), x[:, : -settings["dilation"]]], 1)
    filters, gates = F.linear(torch.cat([before, x], -1), w1, b1).chunk(2, -1)
    return [F.linear(filters.tanh() * gates.sigmoid(), w2, b2)]


def retention(settings, qkvg, state):
    (b, t, c4), heads, decay = qkvg.shape, settings["heads"], settings["decay"]
    width = c4 // 4 // heads
    q, k, v, gate = qkvg.view(b, t, 4, heads, width).permute(2, 0, 3, 1, 4).unbind(0)
    passed = torch.arange(1, t + 1, dtype=torch.float32).unsqueeze(-1)
    queries, keys = q * decay**passed, k * (decay**-passed / width**0.5)
    o = (queries @ keys.mT).tril() @ v + queries @ state
    out = F.layer_norm(o, (width,), eps=settings["eps"]) * F.silu(gate)
    return [out.transpose(1, 2).reshape(b, t, c4 // 4)]


def token_shift(settings, x, past, share):
    before = torch.cat([past.to(x.dtype), x[:, :-1]], 1)
    return [torch.lerp(x, before, share.to(x.dtype))]


def mix(settings, g, h, beta):
    return [g * (1 - beta) + h * beta]


class Adam:
    """torch.optim.AdamW over the tensors named parameterN, with the gradients gradientN."""

    def __init__(self, settings, tensors):
        of = lambda kind: [t for name, t in tensors.items() if name.startswith(kind)]
        self.clip, self.parameters = settings["clip"], of("parameter")
        for parameter, gradient in zip(self.parameters, of("gradient")):
            parameter.grad = gradient
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, fused=True
        )

    def __call__(self, settings, **tensors):
        if self.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.optimizer.step()
        return []


WORK = {
    work.__name__: work
    for work in (
        dropout_mask,
        linear,
        linear_gelu,
        mlp,
        add_dropout_layer_norm,
        attention,
        linear_cross_entropy,
        token_position_embedding,
        wave_layer,
        gated_conv,
        retention,
        token_shift,
        mix,
    )
}


def make(dtype, shape, deviation=1, positive=False, gradient=False, product=False, below=None):
    """A tensor by bench/kernels/cases.ts's TensorSpec."""
    if below is not None:
        return torch.randint(below, shape)
    normal = torch.randn(shape, dtype=dtype if product else torch.float32) * deviation
    return (normal.abs() if positive else normal).requires_grad_(gradient)


opened = None


def prepare(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return {"torch": torch.__version__, "python": platform.python_version()}


def open_case(name, dtype, tensors, settings):
    global opened
    made = {key: make(getattr(torch, dtype), **spec) for key, spec in tensors.items()}
    if name.startswith("adamw_"):
        work = Adam(settings, made)
    else:
        work = WORK[name.rstrip("0123456789").rstrip("_")]
    opened = {"work": work, "dtype": dtype, "tensors": made, "settings": settings, "gradients": None}


def once():
    tensors = opened["tensors"]
    if opened["dtype"] == "bfloat16":
        precision = torch.autocast("cpu", dtype=torch.bfloat16)
    else:
        precision = contextlib.nullcontext()
    with precision:
        outputs = opened["work"](opened["settings"], **tensors)
    trained = [output for output in outputs if output.requires_grad]
    if not trained:
        return
    if opened["gradients"] is None:
        opened["gradients"] = [None if o.dim() == 0 else torch.randn_like(o) for o in trained]
    torch.autograd.backward(trained, opened["gradients"])
    for tensor in tensors.values():
        if tensor.requires_grad:
            tensor.grad = None


def measure(times):
    start = time.perf_counter()
    for _ in range(times):
        once()
    return (time.perf_counter() - start) / times * 1000


answer({"describe": prepare, "open": open_case, "measure": measure})
