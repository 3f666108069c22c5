"""Reports of `relabel bench --json` and of bench.py, one of each a round, as one table."""

import argparse
import json
import pathlib
import statistics


def medians(files, mode):
    """Milliseconds by (name, shape, mode): the medians over the rounds, of the wall and of processors."""
    times = {}
    for file in files:
        for row in json.loads(file.read_text())["rows"]:
            # A training step goes by its name alone.
            shape = "" if row["name"].startswith("step ") else row["shape"]
            key = (row["name"], shape, row["mode"] if mode else "")
            times.setdefault(key, []).append((row["milliseconds"], row.get("processor_milliseconds")))
    middle = lambda values: statistics.median(values) if all(v is not None for v in values) else None
    return {key: tuple(middle([s[i] for s in samples]) for i in (0, 1)) for key, samples in times.items()}


def notes(files):
    """What stands beside the answers' check, by the row's name."""
    found = (row for file in files for row in json.loads(file.read_text())["rows"])
    return {row["name"]: row["note"] for row in found if row.get("note")}


def lines(ours, theirs, notes):
    """Markdown. A ratio above 1: relabel takes so many times as long."""
    yield "| what | mode of PyTorch | relabel ms | CPU ms | PyTorch ms | CPU ms | ratio | ratio of CPU |"
    yield "|---|---|---|---|---|---|---|---|"
    number = lambda v: "" if v is None else f"{v:.2f}"
    ratio = lambda a, b: "" if None in (a, b) else f"{a / b:.2f}"
    for (name, shape, mode), their in theirs.items():
        our = ours.get((name, shape, ""))
        if our is not None:
            what = f"{name} {shape}".strip() + (f" ({notes[name]})" if name in notes else "")
            cells = [what, mode, *map(number, our), *map(number, their), *map(ratio, our, their)]
            yield "| " + " | ".join(cells) + " |"


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--relabel", type=pathlib.Path, nargs="+", required=True)
    args.add_argument("--torch", type=pathlib.Path, nargs="+", required=True)
    a = args.parse_args()
    print("\n".join(lines(medians(a.relabel, False), medians(a.torch, True), notes(a.torch))))


if __name__ == "__main__":
    main()
