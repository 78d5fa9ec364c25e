"""Prints, one JSON object a line, tensors of many kinds with PyTorch's repr of each."""

import json

import torch
from recorded import encode

torch.manual_seed(0)
inf, nan = float("inf"), float("nan")


def tensors():
    values = [
        [], [1.0], [0.0], [-0.0], [1.0, 2.0], [1.5, 2.25], [1e-5, 1.0], [1e9, 1.0], [123456.0, 1.0], [0.1, 1000.0],
        [nan], [inf, -inf, nan], [1.0, inf], [1.5, nan], [1e-10, nan, inf], [0.0, -0.0, 0.5], [0.03125, 0.09375, 2.5],
        [-1.0, -22.0, 333.0], [99999.99999, 1.5], [9.99995, 9.99985], [1e20, 2e20], [1e22], [1e-4, 0.1], [9.9e-5, 0.1],
        [1e8, 1e8], [100000001.0], [100000008.0, 0.5], [0.00012345, 0.11], [1e300, 1e-300], [5e-324], [1000.0, 1.0],
        [1001.0, 1.0], [1000.5, 1.0], [2.0**70, 1.0], [-1e-20], [0.00005, 0.00015], [1.00005, 2.00015, 3.00025],
    ]
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        for value in values:
            yield torch.tensor(value, dtype=dtype)
            if len(value) == 1:
                yield torch.tensor(value[0], dtype=dtype)
        for shape in [(3,), (2, 3), (2, 2, 3), (1, 2, 3, 4), (30,), (5, 30), (0, 3), (3, 0), (1, 1), (40, 40), (1001,), (7, 200), (2, 3, 400), (5, 7, 9, 8)]:
            yield torch.randn(shape).to(dtype)
            yield (torch.randn(shape) * 1e4).to(dtype)
            yield (torch.randn(shape) * 50).round().to(dtype)
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool):
        for shape in [(), (1,), (4,), (2, 3), (30,), (3, 25), (0,), (0, 2), (2, 0, 3), (1200,), (40, 40), (2, 7, 90)]:
            high = 2 if dtype == torch.bool else 120
            yield torch.randint(0, high, shape).to(dtype)
    yield torch.tensor([2**63 - 1, -(2**63), 0])
    yield torch.tensor([2**53 + 1])
    yield torch.tensor([2**64 - 1], dtype=torch.uint64)
    for dtype in (torch.complex64, torch.complex128):
        yield torch.tensor([1 + 2j, 3 - 4j], dtype=dtype)
        yield torch.tensor(1.5 - 0.25j, dtype=dtype)
        yield torch.tensor([complex(0, -0.0), complex(inf, nan), complex(1e-9, 1e9)], dtype=dtype)
        for shape in [(3,), (2, 3), (20,), (0,), (1100,), (30, 40)]:
            yield torch.randn(shape, dtype=dtype)
            yield torch.randn(shape, dtype=dtype) * 1000
    yield torch.randn(4, 5).t()
    yield torch.randn(50, 60)[::2, 1::3]
    yield torch.randn(3).expand(1000, 3)


for tensor in tensors():
    print(json.dumps({"tensor": encode(tensor), "text": repr(tensor)}))
