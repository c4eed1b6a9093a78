"""The LightningModule that trains any network: loss, metrics, optimiser, schedule."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from lth.config import Optim
from lth.models.build import Network
from lth.models.survivors import over_survivors


class Classifier(pl.LightningModule):
    """Cross-entropy training of a plain network: images (n, channels, h, w) -> logits (n, classes).

    It logs loss and accuracy (a fraction) of ``train`` (running, over the epoch), ``val`` and ``test``, and ``lr``.
    Of the last evaluation there are ``matrix`` (classes, classes; rows = true) and ``predictions`` (by batch, of this rank).

    Args:
        network: may be trained by several classifiers, one after the other.
        factor: of the learning rate, by optimiser step.
        sums: ``self.sums`` of the first epoch, part of which an earlier process trained.
        suffix: computes the logits from cached features, which batches then hold in place of images.
    """

    def __init__(
        self,
        network: Network,
        optim: Optim,
        classes: int,
        *,
        factor: Callable[[int], float] = lambda step: 1.0,
        sums: Tensor | None = None,
        suffix: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.optim = network.net, optim
        self._factor, self._suffix = factor, suffix
        self.confusion = MulticlassConfusionMatrix(classes, validate_args=False)
        self.eval_loss = MeanMetric()
        # Loss, correct, images of the epoch so far, on the device: updating a metric object would cost more than a small step
        # itself. No buffer: ranks overwrite each other's buffers.
        self.sums = torch.zeros(3)
        self._first_sums = torch.zeros(3) if sums is None else sums
        self.predictions: list[Tensor] = []
        self.train()
        for block in network.frozen:  # Lightning keeps the mode of each module
            block.eval()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning sets it some 40 times a step, and torch looks for weights in it each time
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        return self._suffix(images) if self._suffix else self.net(images)

    def on_train_epoch_start(self) -> None:
        self.sums = self._first_sums.to(self.device, copy=True)
        self._first_sums = torch.zeros(3)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        with torch.no_grad():
            for total, part in zip(self.sums.unbind(), (loss * len(labels), (logits.argmax(1) == labels).sum(), len(labels))):
                total.add_(part)  # in place: fewer small operations than one on a stack of them
        return loss

    def train_metrics(self) -> dict[str, float]:
        """Return ``train/loss``, ``train/acc`` and ``lr`` of the epoch so far, over all ranks."""
        loss, correct, images = self.trainer.strategy.reduce(self.sums.clone(), reduce_op="sum").tolist()
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        return {"train/loss": loss / images, "train/acc": correct / images, "lr": lr}

    def on_train_epoch_end(self) -> None:
        self.log_dict(self.train_metrics())

    def on_validation_epoch_start(self) -> None:
        self.predictions = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.predictions.append(logits.argmax(1))
        self.confusion.update(self.predictions[-1], labels)
        self.eval_loss.update(F.cross_entropy(logits, labels), weight=len(labels))

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def _log_evaluation(self, part: str) -> None:
        self.predictions = [predicted.cpu() for predicted in self.predictions]
        matrix = self.confusion.compute()
        self.log_dict({f"{part}/loss": self.eval_loss.compute(), f"{part}/acc": matrix.trace() / matrix.sum()})
        self.matrix = matrix.cpu()
        self.confusion.reset()
        self.eval_loss.reset()

    def configure_optimizers(self) -> dict[str, Any]:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = build_optimizer(self.optim, trained, self.trainer.precision)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_optimizer(optim: Optim, params: list[nn.Parameter], precision: str = "32-true") -> torch.optim.Optimizer:
    """Return the optimiser of ``params``; fused, unless gradients of mixed precision are clipped: Lightning forbids both."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optim.name]
    options = {"momentum": optim.momentum} if optim.name == "sgd" else {}
    fused = not (precision.endswith("-mixed") and optim.clip)
    kind = over_survivors(kind) if optim.sparse else kind
    return kind(params, lr=optim.lr, weight_decay=optim.weight_decay, fused=fused, **options)


def lr_factor(optim: Optim, step: int, total: float) -> float:
    """Return the factor of the learning rate at optimiser step ``step`` (from 0) of ``total``; in (0, 1]."""
    if step < optim.warmup:
        return (step + 1) / (optim.warmup + 1)
    if optim.schedule == "constant":
        return 1.0
    if optim.schedule == "step":  # the quotient of two integers equals a milestone exactly, their product may not
        return optim.gamma ** sum(step / total >= milestone for milestone in optim.milestones)
    return 0.5 * (1 + math.cos(math.pi * (step - optim.warmup) / max(1, total - optim.warmup)))
