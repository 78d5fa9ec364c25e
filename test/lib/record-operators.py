"""Runs the sample inputs of torch.testing's operator database and records the calls that reach PyTorch's C++.

Prints one JSON object a line: {"kind", "name", "args", "kwargs", "result", "seed"}. A tensor is its storage and strides,
so that a replay adds in the same order and can be compared bit for bit.

    python record-operators.py SAMPLES_PER_OPERATOR DTYPE...     (the other types than the first: one sample each)
"""

import json
import sys
import types
import unittest
import warnings

import torch

# torch.testing's own test case derives from this package's, which is not needed to list samples.
sys.modules.setdefault("expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))

from recorded import Unsupported, encode
from torch.overrides import TorchFunctionMode
from torch.testing._internal.common_methods_invocations import op_db

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

SEED = 7
# What these give depends on memory nobody wrote, on the address of things, or is not the operator's own work.
SKIPPED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "resize_", "resize_as_",
    "data_ptr", "__getitem__", "__setitem__", "to", "type", "item", "tolist", "numpy", "clone_", "as_tensor", "tensor",
    "new_tensor", "requires_grad_", "size", "stride", "dim", "numel", "element_size", "is_contiguous", "storage_offset",
    "set_", "share_memory_", "new", "untyped_storage", "__len__", "__contains__", "is_same_size", "cpu", "double",
    "float", "half", "bfloat16", "long", "int", "short", "byte", "char", "bool", "cfloat", "cdouble", "chalf",
    "full", "sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor",
    "sparse_compressed_tensor", "ndimension", "backward", "nelement", "type_as",
    # Its result has another form here.
    "unique_consecutive",
}


def flat(value):
    if isinstance(value, (list, tuple)):
        for element in value:
            yield from flat(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from flat(element)
    else:
        yield value


def kind_of(function):
    owner = getattr(function, "__self__", None)
    if isinstance(function, types.MethodDescriptorType):
        return "method"
    name = getattr(owner, "__name__", "") if owner is not None else ""
    module = getattr(function, "__module__", None) or ""
    for group in ("nn", "linalg", "fft", "special"):
        if f"_{group}" in name.split(".")[-1:] or module.endswith(f"_{group}") or name.endswith(f"_{group}"):
            return group
    return "function"


def is_ambiguous(arguments):
    """A float without a fraction is an integer in JavaScript: that shows where no tensor is floating."""
    values = list(flat(arguments))
    whole = any(isinstance(value, float) and value.is_integer() for value in values)
    floating = any(isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()) for value in values)
    return whole and not floating


class Recorder(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, function, classes, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in SKIPPED or name.startswith("_") or "_backward" in name or "Wrapper" in type(function).__name__:
            return function(*args, **kwargs)
        try:
            if is_ambiguous([args, kwargs]):
                raise Unsupported
            call = {
                "kind": kind_of(function),
                "name": name,
                "args": encode(args),
                "kwargs": {key: encode(value) for key, value in kwargs.items() if key != "out"},
            }
            if kwargs.get("out") is not None:
                raise Unsupported
        except (Unsupported, RuntimeError, NotImplementedError):
            return function(*args, **kwargs)
        torch.manual_seed(SEED)
        result = function(*args, **kwargs)
        try:
            call["result"] = encode(result)
            self.calls.append(call)
        except (Unsupported, RuntimeError, NotImplementedError):
            pass
        return result


def see_through_python():
    """Makes PyTorch's functions written in Python run their bodies, so that only calls into C++ are seen."""
    for module in list(sys.modules.values()):
        if module is None or not getattr(module, "__name__", "").startswith("torch"):
            continue
        for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"):
            if name in getattr(module, "__dict__", {}):
                setattr(module, name, lambda *arguments: False)


def main():
    see_through_python()
    samples, dtypes = int(sys.argv[1]), [getattr(torch, name) for name in sys.argv[2:]]
    seen = set()
    for info in op_db:
        for dtype in dtypes:
            if dtype not in info.supported_dtypes("cpu"):
                continue
            recorder = Recorder()
            first = dtype == dtypes[0]
            variants = [info.op, info.method_variant, info.inplace_variant] if first else [info.op]
            for variant in filter(None, variants):
                torch.manual_seed(SEED)
                try:
                    inputs = info.sample_inputs("cpu", dtype)
                    for _, sample in zip(range(samples if first else 1), inputs):
                        copy = sample.transform(lambda value: value.clone() if isinstance(value, torch.Tensor) else value)
                        with torch.no_grad(), recorder:
                            variant(copy.input, *copy.args, **copy.kwargs)
                except Exception:  # a sample that this build cannot run is no sample
                    pass
            for call in recorder.calls:
                line = json.dumps(call)
                if line not in seen:
                    seen.add(line)
                    print(line)


main()
