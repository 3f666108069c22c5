"""The products of a report of `relabel bench`, at the sizes that it names."""

import re

import torch

CONVOLUTION = re.compile(r"(\d+)x(\d+)x(\d+)x(\d+) to (\d+), stride (\d+)(?:, (\d+)x\d+)?(?:, border (\d+))?$")
LINEAR = re.compile(r"(\d+)x(\d+) to (\d+)$")
SQUARE = re.compile(r"(aᵀ?)·(bᵀ?), (\d+)$")


def work(name, shape, device, channels_last):
    """The work of one row; none when it is no product."""
    normal = lambda *sizes: torch.randn(*sizes, device=device)
    if name in ("matmul", "matmul f16") and (found := SQUARE.search(shape)):
        side = int(found[3])
        a, b = normal(side, side), normal(side, side)
        a, b = (m.t() if "ᵀ" in mark else m for m, mark in [(a, found[1]), (b, found[2])])
        return lambda: a @ b
    if name.startswith("linear") and (found := LINEAR.search(shape)):
        r, d, n = map(int, found.groups())
        x, w, dy = normal(r, d), normal(n, d), normal(r, n)
        return {"linear": lambda: x @ w.t(), "linear_input_grad": lambda: dy @ w, "linear_weight_grad": lambda: dy.t() @ x}[name]
    if name.startswith("conv2d") and (found := CONVOLUTION.search(shape)):
        r, h, width, c, n, stride = map(int, found.groups()[:6])
        kernel = int(found[7] or 3)
        border = int(found[8]) if found[8] else kernel // 2
        x, w = normal(r, c, h, width), normal(n, c, kernel, kernel)
        if channels_last:
            x, w = (t.contiguous(memory_format=torch.channels_last) for t in (x, w))
        forward = lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=border)
        dy = torch.randn_like(forward())
        mask = [name == "conv2d_input_grad", name == "conv2d_weight_grad", False]
        backward = lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 2, [border] * 2, [1, 1], False, [0, 0], 1, mask
        )
        return backward if any(mask) else forward
    return None


def rows(report, device, clock, wanted):
    """A row for each product and wanted mode: plain, TF32, bfloat16, the last with channels innermost."""
    modes = [("eager", False, torch.float32), ("amp", True, torch.bfloat16)]
    if device.type == "cuda":
        modes.insert(1, ("tf32", False, torch.float32))
    for mode, channels_last, dtype in [m for m in modes if not wanted or m[0] in wanted]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "tf32"
        for row in report["rows"]:
            # Products of half-precision factors have bfloat16 beside them.
            if row["name"].endswith(" f16") and dtype != torch.bfloat16:
                continue
            with torch.no_grad():
                torch.set_default_dtype(dtype)
                run = work(row["name"], row["shape"], device, channels_last)
                torch.set_default_dtype(torch.float32)
                if run is not None:
                    run()
                    yield clock.row(run, name=row["name"], shape=row["shape"], mode=mode)
