"""Training steps in each mode: first three steps whose losses must be relabel's, then the timing."""

from dataclasses import dataclass

import torch

from methods import Training


@dataclass(frozen=True)
class Mode:
    name: str
    tf32: bool = False
    amp: bool = False
    channels_last: bool = False
    compile: bool = False
    graphs: bool = False
    double: bool = False


MODES = [
    Mode("eager"),
    Mode("tf32", tf32=True),
    Mode("amp", amp=True, channels_last=True),
    Mode("compile", compile=True),
    Mode("amp compile", amp=True, channels_last=True, compile=True),
    Mode("graphs", graphs=True),
    Mode("amp graphs", amp=True, channels_last=True, graphs=True),
]

# The first loss comes before any update: both sides round to 24 bits and add in other orders. Each later one goes on from
# weights that differ; what an update makes of a difference depends on the network, so float64 is the referee: by FACTOR times
# what PyTorch's float32 is off by, relabel may be off too. TF32 has 11 bits and bfloat16 8 for each factor.
# Above MOST that could pass wrong gradients: such a step is not comparable after the first loss.
EXACT, AFTER, FACTOR, MOST = 2e-5, 2e-3, 10, 2e-2
LOOSE = {"tf32": 2e-2, "amp": 1e-1}


class Wrong(Exception):
    """An answer that is not relabel's."""


def impossible(mode, step, device):
    """Why a mode cannot run here; empty when it can."""
    cuda = device.type == "cuda"
    if mode.tf32 and not (cuda and torch.cuda.get_device_capability() >= (8, 0)):
        return "TF32 is of NVIDIA GPUs since Ampere"
    if mode.graphs and not cuda:
        return "CUDA graphs need CUDA"
    if mode.compile and step.method == "maxl":
        return "compiled graphs have no second derivative"
    return ""


def captured(work):
    """`work` as a CUDA graph; it returns the same tensor each time."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay():
        graph.replay()
        return result

    return replay


class Run:
    """A training step that can be repeated: MAXL's goes through a meta step, then a training step."""

    def __init__(self, step, device, mode):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode.tf32
        self.step, self.training = step, Training(step, device, mode)
        dtype = self.training.dtype
        copy = lambda batches: [t if t is None else t.to(dtype if t.is_floating_point() else None, copy=True) for t in batches[0]]
        self.batch = copy(step.batches)
        self.train, self.meta = lambda: self.training.train(*self.batch), lambda: None
        if step.meta_batches:
            self.meta_batch = copy(step.meta_batches)
            self.meta = lambda: self.training.meta(*self.meta_batch)
        if mode.graphs:
            self.train = captured(self.train)
            self.meta = captured(self.meta) if step.meta_batches else self.meta
            self.training.reset()

    def __call__(self):
        self.meta()
        return self.train()

    def trace(self):
        """The losses of the first steps, and how far the weights of network and label generator went; then back to the start."""
        load = lambda to, batch: [a.copy_(b) for a, b in zip(to, batch) if a is not None]
        losses = []
        for i, batch in enumerate(self.step.batches):
            # relabel's first training step has no meta step before it.
            if i and self.step.meta_batches:
                load(self.meta_batch, self.step.meta_batches[i - 1])
                self.meta()
            load(self.batch, batch)
            losses.append(float(self.train()))
        moved = self.training.moved()
        self.training.reset()
        return losses + moved


class Referee:
    """What float64 says of a step, and how far from it float32 may be."""

    def __init__(self, step, device):
        self.step = step
        self.exact = Run(step, device, Mode("float64", double=True)).trace()
        self.names = [f"loss {i}" for i in range(len(step.losses))] + ["way of the network's weights", "way of the generator's"]
        own = self.off(Run(step, device, Mode("eager")).trace())
        after = max(AFTER, FACTOR * max(own))
        self.comparable = after <= MOST
        self.most = [EXACT] + [after] * (len(own) - 1) if self.comparable else [EXACT]
        self.note = "" if self.comparable else "not comparable after the first step"
        self.check("relabel", step.losses + step.moved, 0.0)

    def off(self, trace):
        return [abs(a - b) / abs(b) if b else abs(a) for a, b in zip(trace, self.exact)]

    def check(self, who, trace, loose):
        """The largest relative difference of what is compared; an error when one is too large."""
        off = self.off(trace)
        for name, value, exact, found, most in zip(self.names, trace, self.exact, off, self.most):
            if not found <= max(most, loose):
                raise Wrong(f"{self.step.name}, {who}: {name} is {value:.6f}, in float64 {exact:.6f}: off by {found:.1e}, not {most:.1e}")
        return max(off[: len(self.most)])


def told(off, note):
    return f"{note}; the first loss is off by {off:.1e}" if note else f"off by {off:.1e}"


def rows(steps, device, clock, modes, tell, check_only=False):
    """A row for each step and mode; `tell` is told why one is left out, and with `check_only` how far the losses are off."""
    for step in steps:
        referee = Referee(step, device)
        off = referee.off(step.losses + step.moved)
        if referee.comparable:
            tell(f"{step.name}: relabel is off by {max(off):.1e} (at most {max(referee.most):.1e})")
        else:
            tell(f"{step.name}: {referee.note}; the first loss is off by {off[0]:.1e} (at most {EXACT:.1e}), the rest by up to {max(off):.1e}")
        for mode in modes:
            reason = impossible(mode, step, device)
            if reason:
                tell(f"{step.name}, {mode.name}: left out: {reason}")
                continue
            try:
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                run = Run(step, device, mode)
                loose = LOOSE["amp"] if mode.amp else LOOSE["tf32"] if mode.tf32 else 0.0
                off = referee.check(mode.name, run.trace(), loose)
                run()
            except Wrong:
                raise
            except Exception as e:  # A compiler that is not there, memory that does not suffice.
                tell(f"{step.name}, {mode.name}: left out: {type(e).__name__}: {str(e).splitlines()[0]}")
                continue
            if check_only:
                tell(f"{step.name}, {mode.name}: {told(off, referee.note)}")
                continue
            shape = f"{len(run.batch[0])} images"
            row = clock.row(run, name=step.name, shape=shape, mode=mode.name, off=off, note=referee.note)
            row["peak_bytes"] = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
            row["images_per_s"] = 1e3 * len(run.batch[0]) / row["milliseconds"]
            yield row
            torch.compiler.reset()
