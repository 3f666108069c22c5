"""The methods' training steps, each as a function of a batch that changes the weights and returns the loss."""

import torch
import torch.nn.functional as F
from torch.func import functional_call

from networks import Headed

VIEWS = 4


def turned(x):
    """The four quarter turns of each image, one image after the other."""
    return torch.stack([torch.rot90(x, k, (2, 3)) for k in range(VIEWS)], 1).flatten(0, 1)


def every_view(labels):
    return labels.repeat_interleave(VIEWS)


def view_of(labels):
    return torch.arange(VIEWS, device=labels.device).repeat(len(labels))


def focal(logits, target, gamma):
    p = F.softmax(logits, 1)
    return -(target * (1 - p) ** gamma * torch.log(p + 1e-20)).sum(1).mean()


def heads(step):
    """Outputs of each head by its name."""
    n, settings = step.classes, step.settings
    match step.method:
        case "baseline" | "da":
            return {"class": n}
        case "mt":
            return {"class": n, "transform": VIEWS}
        case "sla":
            return {"joint": n * VIEWS}
        case "sla-sd":
            return {"joint": n * VIEWS, "single": n}
        case "sela":
            return {f"top_layer{h}": settings["sela"]["clusters"] for h in range(settings["sela"]["heads"])}
        case "maxl":
            return {"primary": n, "auxiliary": n * settings["maxl"]["hierarchy"]}
        case name:
            raise ValueError(f"no method {name} here")


class Training:
    """A method's network with its optimizer, at the weights that relabel started from."""

    def __init__(self, step, device, mode):
        self.step, self.device, self.mode = step, device, mode
        self.dtype = torch.float64 if mode.double else torch.float32
        model, channels = step.settings["model"], step.batches[0][0].shape[1]
        self.net = Headed(model, channels, heads(step)).to(device, self.dtype).train()
        if mode.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        o = step.settings["optimizer"]
        rate = {"lr": o["lr"], "momentum": o["momentum"], "weight_decay": o["weight_decay"]}
        self.optimizer = torch.optim.SGD(self.net.parameters(), **rate)
        self.generator = None
        if step.method == "maxl":
            m = step.settings["maxl"]
            self.generator = Headed(model, channels, {"auxiliary": heads(step)["auxiliary"]}).to(device, self.dtype).train()
            rate = {"lr": m["generator_lr"], "momentum": m["generator_momentum"], "weight_decay": m["generator_weight_decay"]}
            self.generator_optimizer = torch.optim.SGD(self.generator.parameters(), **rate)
        self.forward = torch.compile(self.losses) if mode.compile else self.losses
        self.reset()

    def reset(self):
        """Back to the start, in place: a captured graph goes on to hold."""
        self.net.load_state_dict(self.step.weights)
        if self.generator is not None:
            self.generator.load_state_dict(self.step.generator)
        for optimizer in self.optimizers():
            for state in optimizer.state.values():
                if state.get("momentum_buffer") is not None:
                    state["momentum_buffer"].zero_()

    def optimizers(self):
        return [self.optimizer] + ([self.generator_optimizer] if self.generator is not None else [])

    def moved(self):
        """How far network and label generator are from the start."""
        distances = []
        for net, start in [(self.net, self.step.weights), (self.generator, self.step.generator)]:
            pairs = [] if net is None else [(p.detach().double().cpu(), start[n].double()) for n, p in net.named_parameters()]
            distances.append(sum(float(((a - b) ** 2).sum()) for a, b in pairs) ** 0.5)
        return distances

    def losses(self, x, y, assigned):
        """The loss of one batch."""
        method = self.step.method
        if method == "maxl":
            m = self.step.settings["maxl"]
            with torch.no_grad():
                labels = self.labels(x, y)
            _, (primary, auxiliary) = self.net(x)
            return focal(primary, self.onehot(y), m["gamma"]) + focal(auxiliary, labels, m["gamma"])
        if method == "baseline":
            return F.cross_entropy(self.net(x)[1][0], y)
        if method == "sela":
            return sum(F.cross_entropy(logits, labels) for logits, labels in zip(self.net(x)[1], assigned)) / len(assigned)
        views, all_labels = turned(x), every_view(y)
        if self.mode.channels_last:
            views = views.contiguous(memory_format=torch.channels_last)
        features, logits = self.net(views)
        if method == "da":
            return F.cross_entropy(logits[0], all_labels)
        if method == "mt":
            return F.cross_entropy(logits[0], all_labels) + F.cross_entropy(logits[1], view_of(y))
        joint = F.cross_entropy(logits[0], all_labels * VIEWS + view_of(y))
        if method == "sla":
            return joint
        # The mean over the views of the logits of each class under its own view.
        by_view = logits[0].reshape(len(y), VIEWS, self.step.classes, VIEWS)
        aggregated = torch.stack([by_view[:, j, :, j] for j in range(VIEWS)]).mean(0).detach()
        single, s = logits[1][::VIEWS], self.step.settings["sla"]
        t = s["temperature"]
        teacher = F.softmax(aggregated.to(self.dtype) / t, 1)
        distilled = F.kl_div(F.log_softmax(single.to(self.dtype) / t, 1), teacher, reduction="batchmean") * t * t
        return joint + distilled + s["beta"] * F.cross_entropy(single, y)

    def onehot(self, y):
        return F.one_hot(y, self.step.classes).to(self.dtype)

    def labels(self, x, y):
        """Labels of the generator, within each image's class."""
        each = self.step.settings["maxl"]["hierarchy"]
        outside = self.onehot(y).repeat_interleave(each, 1) == 0
        return F.softmax(self.generator(x)[1][0].to(self.dtype).masked_fill(outside, float("-inf")), 1)

    def cast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mode.amp)

    def shaped(self, x):
        return x.contiguous(memory_format=torch.channels_last) if self.mode.channels_last else x

    def train(self, x, y, assigned):
        """Forward, backward, update."""
        self.optimizer.zero_grad(set_to_none=False)
        with self.cast():
            loss = self.forward(self.shaped(x), y, assigned)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def meta(self, x, y, _):
        """MAXL's meta step: through the look-ahead weights, by double backward."""
        m = self.step.settings["maxl"]
        buffers = dict(self.net.named_buffers())
        weights = dict(self.net.named_parameters())
        at = lambda w: functional_call(self.net, {**w, **{n: b.clone() for n, b in buffers.items()}}, (self.shaped(x),))[1]
        onehot, gamma = self.onehot(y), m["gamma"]
        with self.cast():
            labels = self.labels(self.shaped(x), y)
            primary, auxiliary = at(weights)
            inner = focal(primary, onehot, gamma) + focal(auxiliary, labels, gamma)
        gradients = torch.autograd.grad(inner, list(weights.values()), create_graph=True)
        ahead = {n: w - m["lookahead_lr"] * g for (n, w), g in zip(weights.items(), gradients)}
        mean = labels.mean(0)
        with self.cast():
            loss = focal(at(ahead)[0], onehot, gamma) + m["entropy_weight"] * (mean * torch.log(mean + 1e-20)).sum()
        parameters = list(self.generator.parameters())
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
            p.grad = g if p.grad is None else p.grad.copy_(g)
        self.generator_optimizer.step()
