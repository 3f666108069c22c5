"""Files that `relabel bench export` wrote: safetensors with the settings in the header, read without another package."""

import json
import math
import struct
import tomllib

import torch

TYPES = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}


class Step:
    """One training step: its settings, the weights it starts from, its batches and the losses that relabel had."""

    def __init__(self, path, device):
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        self.meta = header.pop("__metadata__")
        self.settings = tomllib.loads(self.meta["relabel.config"])
        self.classes = len(json.loads(self.meta["relabel.classes"]))
        self.network, self.method = path.stem.split("-", 1)
        self.name = f"step {self.network} {self.method}"
        tensors = {}
        for name, entry in header.items():
            begin, end = (8 + length + at for at in entry["data_offsets"])
            shape, dtype = entry["shape"], TYPES[entry["dtype"]]
            tensor = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if math.prod(shape) else torch.empty(0)
            tensors[name] = tensor.reshape(shape)
        self.losses = tensors.pop("losses").tolist()
        self.moved = tensors.pop("moved").tolist()
        self.batches = self._batches(tensors, "batch", device)
        self.meta_batches = self._batches(tensors, "meta", device)
        second = "labels.generator."
        self.generator = {n.removeprefix(second): t for n, t in tensors.items() if n.startswith(second)}
        self.weights = {n: t for n, t in tensors.items() if not n.startswith("labels.")}

    def _batches(self, tensors, name, device):
        """A list of (images, labels, assigned labels); images as the network sees them."""
        if f"{name}.images" not in tensors:
            return []
        numbers = lambda key: torch.tensor([float(v) for v in self.meta[f"extra.{key}"].split(",")])
        images = tensors.pop(f"{name}.images").permute(0, 1, 4, 2, 3)
        mean, std = (numbers(key).reshape(1, 1, -1, 1, 1) for key in ("mean", "std"))
        images = ((images.float() / 255 - mean) / std).contiguous().to(device)
        labels = tensors.pop(f"{name}.labels").to(device)
        assigned = tensors.pop(f"{name}.assigned", None)
        assigned = [None] * len(labels) if assigned is None else assigned.to(device)
        return list(zip(images, labels, assigned))
