"""The networks, under the names of relabel's checkpoints."""

import torch
import torch.nn.functional as F
from torch import nn


def three(i, o, stride=1, bias=False):
    return nn.Conv2d(i, o, 3, stride, 1, bias=bias)


class ConvNet(nn.Module):
    def __init__(self, channels, model):
        super().__init__()
        for i, (width, stride) in enumerate(zip(model["widths"], model["strides"]), 1):
            setattr(self, f"conv{i}", three(channels, width, stride))
            setattr(self, f"bn{i}", nn.BatchNorm2d(width))
            channels = width
        self.layers, self.width = len(model["widths"]), channels

    def forward(self, x):
        for i in range(1, self.layers + 1):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return x.mean((2, 3))


class Block(nn.Module):
    """Two convolutions and a shortcut: option A (subsample, append zero channels), or a projection."""

    def __init__(self, i, o, stride, projection):
        super().__init__()
        self.conv1, self.bn1 = three(i, o, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = three(o, o), nn.BatchNorm2d(o)
        self.stride, self.wider, self.same = stride, o - i, stride == 1 and i == o
        if projection and not self.same:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif not self.same:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.wider))
        return F.relu(x + y)


class ResNet(nn.Module):
    """A 3x3 stem and stages of basic blocks."""

    def __init__(self, channels, widths, blocks, projection):
        super().__init__()
        self.conv1, self.bn1 = three(channels, widths[0]), nn.BatchNorm2d(widths[0])
        i, self.stages = widths[0], len(widths)
        for stage, width in enumerate(widths, 1):
            layers = []
            for block in range(blocks):
                layers.append(Block(i, width, 2 if stage > 1 and block == 0 else 1, projection))
                i = width
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.width = i

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return x.mean((2, 3))


class Vgg(nn.Module):
    def __init__(self, channels, model):
        super().__init__()
        layers, i = [], channels
        for width, count in zip(model["widths"], [2, 2, 3, 3, 3]):
            for _ in range(count):
                layers += [three(i, width, bias=True), nn.BatchNorm2d(width), nn.ReLU()]
                i = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features, self.width = nn.Sequential(*layers), i

    def forward(self, x):
        return self.features(x).mean((2, 3))


def trunk(model, channels):
    match model["name"]:
        case "convnet":
            return ConvNet(channels, model)
        case "resnet32":
            return ResNet(channels, [16, 32, 64], 5, projection=False)
        case "cifar_resnet18":
            return ResNet(channels, [64, 128, 256, 512], 2, projection=True)
        case "vgg16":
            return Vgg(channels, model)
        case name:
            raise ValueError(f"no network {name} here")


class Headed(nn.Module):
    """A trunk, whose names stand at the top, with linear heads by name."""

    def __init__(self, model, channels, heads):
        super().__init__()
        body = trunk(model, channels)
        for name, child in body.named_children():
            setattr(self, name, child)
        # Not a child: its layers are registered above.
        self.__dict__["body"] = body
        self.heads = list(heads)
        for name, outputs in heads.items():
            setattr(self, name, nn.Linear(body.width, outputs))

    def forward(self, x):
        features = self.body(x)
        return features, [getattr(self, name)(features) for name in self.heads]
