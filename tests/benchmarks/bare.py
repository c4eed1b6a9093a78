"""A bare PyTorch loop that does what a round does: the same batches, steps, validations, curves and test scores."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from lth.config import Config
from lth.data.module import ImageData
from lth.data.split import Splits
from lth.models.build import build
from lth.models.classifier import build_optimizer
from tests.benchmarks.timing import parameters


def floats(data: ImageData, batches: Iterable) -> Iterator[tuple[Tensor, Tensor]]:
    return ((data.to_float(pixels), labels) for pixels, labels, _ in batches)


@torch.no_grad()
def evaluate(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return loss and accuracy."""
    net.eval()
    loss = correct = images = 0
    for inputs, labels in batches:
        logits = net(inputs)
        loss += F.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
        images += len(labels)
    net.train()
    return float(loss / images), float(correct / images)


def train(conf: Config, splits: Splits, folder: Path) -> float:
    """Train a dense network; return its test accuracy at the lowest validation loss, which is read at each new minimum."""
    data = ImageData(splits, conf.data.batch_size, conf.seed, conf.data.normalize, channels=conf.data.channels)
    training, held, tested = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    net = build(conf, len(splits.classes)).net
    optimizer, lowest, step, early = build_optimizer(conf.optim, parameters(net)), math.inf, 0, 0.0
    with SummaryWriter(str(folder)) as board:
        for epoch in range(conf.epochs):
            training.sampler.set_epoch(epoch)
            loss_sum, correct, images = torch.zeros(()), torch.zeros(()), 0
            for inputs, labels in floats(data, training):
                logits = net(inputs)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    loss_sum += loss * len(labels)
                    correct += (logits.argmax(1) == labels).sum()
                images, step = images + len(labels), step + 1
                if step % conf.trainer.val_check_interval == 0:
                    val_loss, val_acc = evaluate(net, floats(data, held))
                    board.add_scalar("val/loss", val_loss, step)
                    board.add_scalar("val/acc", val_acc, step)
                    board.add_scalar("train/loss", float(loss_sum) / images, step)
                    board.add_scalar("train/acc", float(correct) / images, step)
                    if val_loss < lowest:
                        lowest, early = val_loss, evaluate(net, floats(data, tested))[1]
    return early
