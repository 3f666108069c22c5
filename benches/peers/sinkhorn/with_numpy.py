"""Sinkhorn-Knopp as SeLa's official code runs it, in NumPy float64: seconds an iteration and GB/s over the scores."""

import argparse
import json
import statistics
import time

import numpy as np


def iterate(p, r, c):
    """One iteration on P (N, K): column and row scalings to uniform masses, two passes over P."""
    n, k = p.shape
    r = (1.0 / k) / (c @ p)
    c = (1.0 / n) / (p @ r)
    return r, c


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--samples", type=int, default=50_000)
    args.add_argument("--clusters", type=int, default=128)
    args.add_argument("--power", type=float, default=10.0)
    args.add_argument("--iterations", type=int, default=5, help="timed in each repeat")
    args.add_argument("--repeats", type=int, default=5)
    a = args.parse_args()
    z = np.random.default_rng(0).uniform(-0.5, 0.5, (a.samples, a.clusters))
    # A row's constant changes neither labels nor masses; without it powers of a softmax underflow.
    p = np.exp(a.power * (z - z.max(1, keepdims=True)))
    del z
    r, c = np.ones(a.clusters), np.full(a.samples, 1.0 / a.samples)
    r, c = iterate(p, r, c)
    seconds = []
    for _ in range(a.repeats):
        start = time.perf_counter()
        for _ in range(a.iterations):
            r, c = iterate(p, r, c)
        seconds.append((time.perf_counter() - start) / a.iterations)
    error = np.abs(a.clusters * r * (c @ p) - 1.0).max()
    median = statistics.median(seconds)
    print(json.dumps({
        "peer": f"numpy {np.__version__} float64", "samples": a.samples, "clusters": a.clusters,
        "ms": 1e3 * median, "gbytes_per_s": 2 * p.nbytes / median / 1e9, "passes": 2, "marginal_error": error,
    }))


if __name__ == "__main__":
    main()
