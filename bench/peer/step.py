"""PyTorch's side of the training step: the same model, optimizer and loop as src/, eager or by torch.compile."""

import contextlib
import platform
import time

import numpy
import torch
from answer import answer
from memory import peak, reset_peak
from model import Model
from safetensors.torch import load_file

libraries = peak()


class Training:
    def __init__(self, settings, config, tokens, weights, compiled):
        torch.manual_seed(settings["seed"])
        self.settings, self.weights = settings, weights
        self.tokens = torch.from_numpy(numpy.fromfile(tokens, dtype=numpy.uint16).astype(numpy.int64))
        self.model = Model(config)
        self.forward = torch.compile(self.model) if compiled else self.model
        if settings["dtype"] == "bfloat16":
            self.precision = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
        else:
            self.precision = contextlib.nullcontext

    def begin(self, train):
        """Fresh weights and a fresh optimizer, with dropout or without."""
        settings = self.settings
        self.model.load_state_dict(load_file(self.weights))
        self.model.train(train)
        self.model.zero_grad()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings["learningRate"],
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["eps"],
            weight_decay=settings["weightDecay"],
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(
            self.optimizer, settings["milestones"], settings["gamma"]
        )
        self.losses = torch.zeros(())

    def batch(self):
        """Rows from anywhere in the text, gathered at once."""
        length = self.settings["blockSize"]
        starts = torch.randint(length, len(self.tokens) - length, (self.settings["batchSize"], 1))
        rows = self.tokens[starts + torch.arange(-length, length + 1)]
        return rows[:, length:-1], rows[:, :length], rows[:, length + 1 :]

    def step(self, x, previous, y):
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision():
            loss = self.forward(x, previous, y)
        loss.backward()
        self.optimizer.step()
        self.losses += loss.detach()
        self.schedule.step()
        return loss


training = None


def prepare(threads, **given):
    global training
    torch.set_num_threads(threads)
    training = Training(**given)
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in training.model.parameters()),
    }


def check(batches):
    """The losses of some steps without dropout."""
    training.begin(train=False)
    tensors = load_file(batches)
    parts = zip(tensors["x"], tensors["previous"], tensors["y"])
    return [training.step(x, previous, y).item() for x, previous, y in parts]


def begin():
    training.begin(train=True)


def train(steps):
    """Seconds for so many steps with dropout."""
    start = time.perf_counter()
    for _ in range(steps):
        training.step(*training.batch())
    return time.perf_counter() - start


answer(
    {
        "prepare": prepare,
        "check": check,
        "begin": begin,
        "train": train,
        "resetPeak": reset_peak,
        "memory": lambda: {"libraries": libraries, "peak": peak()},
    }
)
