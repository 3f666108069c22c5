"""Warm-up, repeats, and the rows of the report, as `relabel bench` has them."""

import statistics
import time

import torch


class Clock:
    def __init__(self, device, repeats, seconds):
        self.device, self.repeats, self.seconds = device, repeats, seconds

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def row(self, work, **about):
        """Medians of wall and processor time (user and system, all threads) of one run; `work` has run before."""

        def sample(runs):
            self.wait()
            wall, processor = time.perf_counter(), time.process_time()
            for _ in range(runs):
                work()
            self.wait()
            return (time.perf_counter() - wall) / runs, (time.process_time() - processor) / runs

        runs = max(1, min(1000, round(self.seconds / max(sample(1)[0], 1e-6))))
        samples = [sample(runs) for _ in range(self.repeats)]
        wall, processor = (statistics.median(s[i] for s in samples) for i in (0, 1))
        walls = [s[0] for s in samples]
        return {
            **about,
            "milliseconds": 1e3 * wall,
            "processor_milliseconds": 1e3 * processor if self.device.type == "cpu" else None,
            "spread": (max(walls) - min(walls)) / wall,
            "repeats": self.repeats,
        }
