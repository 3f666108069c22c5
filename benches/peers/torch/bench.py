"""What `relabel bench` times, in PyTorch: training steps that are checked first, and products."""

import argparse
import json
import pathlib
import sys

import torch

import layers
import steps
from exported import Step
from timing import Clock


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--steps", type=pathlib.Path, metavar="DIR", help="what `relabel bench export DIR` wrote")
    args.add_argument("--layers", type=pathlib.Path, metavar="FILE", help="a JSON report of `relabel bench`")
    args.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    args.add_argument("--modes", default="", help="only these, separated by commas: " + ", ".join(m.name for m in steps.MODES))
    args.add_argument("--only", default="", help="steps whose name holds this text")
    args.add_argument("--repeats", type=int, default=5)
    args.add_argument("--seconds", type=float, default=0.1, help="how long one repeat runs at least")
    args.add_argument("--check", action="store_true", help="compare the losses and time nothing")
    args.add_argument("--json", type=pathlib.Path, metavar="FILE")
    a = args.parse_args()
    device = torch.device(a.device)
    # The fastest of cuDNN's convolutions, as relabel measures its own forms; the first run of each shape pays for it.
    torch.backends.cudnn.benchmark = device.type == "cuda"
    clock = Clock(device, a.repeats, a.seconds)
    wanted = [name.strip() for name in a.modes.split(",") if name.strip()]
    modes = [mode for mode in steps.MODES if not wanted or mode.name in wanted]
    tell = lambda text: print(text, file=sys.stderr, flush=True)
    found = []

    def keep(row):
        found.append(row)
        processor = row["processor_milliseconds"]
        cpu = f", {processor:.2f} of processors" if processor else ""
        off = f", {steps.told(row['off'], row['note'])}" if "off" in row else ""
        tell(f"{row['name']} {row['shape']}, {row['mode']}: {row['milliseconds']:.2f} ms{cpu}{off}")

    wrong = False
    if a.steps:
        files = sorted(a.steps.glob("*.safetensors"))
        if not files:
            sys.exit(f"{a.steps} holds no step; write them with `relabel bench export {a.steps}`")
        for file in files:
            step = Step(file, device)
            if a.only not in step.name:
                continue
            try:
                for row in steps.rows([step], device, clock, modes, tell, a.check):
                    keep(row)
            except steps.Wrong as e:
                wrong = True
                tell(f"WRONG: {e}")
    if a.layers:
        for row in layers.rows(json.loads(a.layers.read_text()), device, clock, wanted):
            keep(row)
    if a.json:
        name = torch.cuda.get_device_name() if a.device == "cuda" else f"{torch.get_num_threads()} threads"
        report = {"torch": torch.__version__, "device": f"{a.device}: {name}", "rows": found}
        a.json.write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
