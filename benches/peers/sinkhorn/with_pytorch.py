"""Sinkhorn-Knopp in PyTorch float32 on the CPU: seconds an iteration and GB/s over the scores.

`scaling` is the official loop with each row divided by its maximum; it fails for peaked scores. `log` is the one that
works for all, as relabel's does.
"""

import argparse
import json
import math
import statistics
import time

import torch


def scaling(p, r, c):
    """One iteration on P (N, K): two passes over P."""
    n, k = p.shape
    r = (1.0 / k) / (c @ p)
    c = (1.0 / n) / (p @ r)
    return r, c


def logarithmic(s, v, u):
    """One iteration on S = log P (N, K): two passes with exponentials."""
    n, k = s.shape
    v = -math.log(k) - torch.logsumexp(s + u[:, None], 0)
    u = -math.log(n) - torch.logsumexp(s + v, 1)
    return v, u


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--samples", type=int, default=50_000)
    args.add_argument("--clusters", type=int, default=128)
    args.add_argument("--power", type=float, default=10.0)
    args.add_argument("--domain", choices=["scaling", "log"], default="scaling")
    args.add_argument("--iterations", type=int, default=5, help="timed in each repeat")
    args.add_argument("--repeats", type=int, default=5)
    a = args.parse_args()
    z = torch.rand(a.samples, a.clusters, generator=torch.Generator().manual_seed(0)) - 0.5
    s = a.power * (z - z.max(1, keepdim=True).values)
    del z
    if a.domain == "log":
        x, step = s, logarithmic
        state = (torch.zeros(a.clusters), torch.zeros(a.samples))
    else:
        x, step = s.exp_(), scaling
        state = (torch.ones(a.clusters), torch.full((a.samples,), 1.0 / a.samples))
    state = step(x, *state)
    seconds = []
    for _ in range(a.repeats):
        start = time.perf_counter()
        for _ in range(a.iterations):
            state = step(x, *state)
        seconds.append((time.perf_counter() - start) / a.iterations)
    if a.domain == "log":
        mass = torch.exp(x + state[0] + state[1][:, None]).sum(0)
    else:
        mass = state[0] * (state[1] @ x)
    median = statistics.median(seconds)
    print(json.dumps({
        "peer": f"torch {torch.__version__} float32, {a.domain}, {torch.get_num_threads()} threads",
        "samples": a.samples, "clusters": a.clusters, "ms": 1e3 * median,
        "gbytes_per_s": 2 * 4 * x.numel() / median / 1e9, "passes": 2,
        "marginal_error": float((a.clusters * mass - 1.0).abs().max()),
    }))


if __name__ == "__main__":
    main()
