"""Training of any network on the images of an experiment, without masks and without Lightning."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from lth.config import Config
from lth.data.augment import augment
from lth.data.module import ImageData
from lth.models.classifier import build_optimizer, lr_factor
from lth.seeds import stream
from tests.benchmarks.timing import parameters


def fine_tune(net: nn.Module, config: Config, data: ImageData, epochs: int) -> tuple[float, float]:
    """Return the test accuracy at the lowest validation loss and at the end.

    The optimiser, its schedule (one over all epochs), augmentation, order and size of batches are those of ``lth.run``.
    """
    net, loader, total = net.to(memory_format=torch.channels_last), data.train_dataloader(), epochs * data.batches()
    optimizer, lowest = build_optimizer(config.optim, parameters(net)), math.inf
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(config.optim, step, total))
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        torch.manual_seed(stream("dropout", config.seed, epoch, 0))
        net.train()
        for pixels, labels, seed in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(augment(data.to_float(pixels), data.kind, seed)), labels).backward()
            if config.optim.clip:
                nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip)
            optimizer.step()
            schedule.step()
        loss, accuracy = evaluate(net, data, data.val_dataloader())
        print(f"  epoch {epoch + 1}/{epochs}: val loss {loss:.3f}, val acc {accuracy:.3f}", flush=True)
        if loss < lowest:
            lowest, early = loss, evaluate(net, data, data.test_dataloader())[1]
    return early, evaluate(net, data, data.test_dataloader())[1]


def evaluate(net: nn.Module, data: ImageData, batches: Iterable) -> tuple[float, float]:
    """Return loss and accuracy."""
    net.eval()
    with torch.no_grad():
        parts = [(net(data.to_float(pixels)), labels) for pixels, labels, _ in batches]
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).float().mean())
