"""PyTorch's side of the operator overhead: runs a statement many times with timeit, which is how Python is timed."""

import platform
import timeit

import torch
import torch.nn.functional as F
from answer import answer

torch.set_num_threads(1)
torch.manual_seed(0)
NAMES = {
    "torch": torch,
    "F": F,
    "x": torch.randn(4, 4),
    "y": torch.randn(4, 4),
    "z": torch.randn(4, 4),
    "s": torch.randn(()),
    "p": torch.randn(4, 4, requires_grad=True),
    "b": torch.randn(4, requires_grad=True),
}
timers = {}


def measure(statement, times):
    if statement not in timers:
        timers[statement] = timeit.Timer(statement, globals=NAMES)
    return timers[statement].timeit(times) / times * 1e9


def describe():
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


answer({"describe": describe, "measure": measure})
