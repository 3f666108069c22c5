"""MAXL's meta step by double backward, and a plain training step, in PyTorch float32 on the CPU."""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Vgg(nn.Module):
    def __init__(self, widths, heads):
        super().__init__()
        layers, i = [], 3
        for w, count in zip(widths, [2, 2, 3, 3, 3]):
            for _ in range(count):
                layers += [nn.Conv2d(i, w, 3, 1, 1), nn.BatchNorm2d(w), nn.ReLU()]
                i = w
            layers += [nn.MaxPool2d(2, 2)]
        self.features = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(i, n) for n in heads)

    def forward(self, x):
        x = self.features(x).mean((2, 3))
        return [head(x) for head in self.heads]


def focal(logits, target):
    p = F.softmax(logits, 1)
    return -(target * (1 - p) ** 2 * torch.log(p + 1e-20)).sum(1).mean()


def plain(a, x, y, onehot):
    net = Vgg(a.widths, [a.classes]).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)

    def step():
        optimizer.zero_grad()
        focal(net(x)[0], onehot).backward()
        optimizer.step()

    return step


def meta(a, x, y, onehot):
    auxiliary = a.classes * a.each
    net, generator = Vgg(a.widths, [a.classes, auxiliary]).train(), Vgg(a.widths, [auxiliary]).train()
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.001, weight_decay=5e-4)
    mask = onehot.repeat_interleave(a.each, 1) == 0
    buffers = dict(net.named_buffers())
    call = lambda weights: torch.func.functional_call(net, {**weights, **{n: b.clone() for n, b in buffers.items()}}, (x,))

    def step():
        optimizer.zero_grad()
        weights = dict(net.named_parameters())
        labels = F.softmax(generator(x)[0].masked_fill(mask, float("-inf")), 1)
        primary, other = call(weights)
        gradients = torch.autograd.grad(focal(primary, onehot) + focal(other, labels), list(weights.values()), create_graph=True)
        ahead = {n: w - 0.01 * g for (n, w), g in zip(weights.items(), gradients)}
        mean = labels.mean(0)
        loss = focal(call(ahead)[0], onehot) + 0.2 * (mean * torch.log(mean + 1e-20)).sum()
        parameters = list(generator.parameters())
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
            p.grad = g
        optimizer.step()

    return step


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--batch", type=int, default=16)
    args.add_argument("--widths", type=int, nargs=5, default=[16, 32, 64, 128, 128])
    args.add_argument("--classes", type=int, default=20)
    args.add_argument("--each", type=int, default=5, help="auxiliary labels of each class")
    args.add_argument("--repeats", type=int, default=5)
    args.add_argument("--step", choices=["plain", "meta"], help="only this one, in this process")
    a = args.parse_args()
    if a.step is None:
        for step in ["plain", "meta"]:
            subprocess.run([sys.executable, *sys.argv, "--step", step], check=True)
        return
    torch.manual_seed(0)
    x, y = torch.randn(a.batch, 3, 32, 32), torch.arange(a.batch) % a.classes
    step = {"plain": plain, "meta": meta}[a.step](a, x, y, F.one_hot(y, a.classes).float())
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = peak()
    step()
    seconds, processor = [], []
    for _ in range(a.repeats):
        start, used = time.perf_counter(), time.process_time()
        step()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    median = lambda values: round(1e3 * statistics.median(values), 1)
    out = {"step": a.step, "milliseconds": median(seconds), "processor_milliseconds": median(processor), "megabytes": round(peak() - before, 1)}
    print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
