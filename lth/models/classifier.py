"""The LightningModule that trains any network: loss, metrics, optimiser, schedule."""

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
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
        # Loss, correct, images of the epoch so far, and of the evaluation, on the device: updating a metric object would cost
        # more than a small step itself. No buffers: ranks overwrite each other's buffers.
        self.sums, self._evaluated = torch.zeros(3), torch.zeros(3)
        self._first_sums = torch.zeros(3) if sums is None else sums
        self.predictions: list[Tensor] = []
        self._labels: list[Tensor] = []
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
            _add(self.sums, loss, logits.argmax(1), labels)
        return loss

    training_step.__signature__ = signature(training_step)  # which Lightning looks up at each step

    def train_metrics(self) -> dict[str, float]:
        """Return ``train/loss``, ``train/acc`` and ``lr`` of the epoch so far, over all ranks."""
        return self._means("train", self.sums) | {"lr": self.trainer.optimizers[0].param_groups[0]["lr"]}

    def _means(self, part: str, sums: Tensor) -> dict[str, float]:
        loss, correct, images = self.trainer.strategy.reduce(sums.clone(), reduce_op="sum").tolist()
        return {f"{part}/loss": loss / images, f"{part}/acc": correct / images}

    def on_train_epoch_end(self) -> None:
        self.log_dict(self.train_metrics())

    def on_validation_epoch_start(self) -> None:
        self.predictions, self._labels, self._evaluated = [], [], torch.zeros(3, device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.predictions.append(logits.argmax(1))
        self._labels.append(labels)
        _add(self._evaluated, F.cross_entropy(logits, labels), self.predictions[-1], labels)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def _log_evaluation(self, part: str) -> None:
        self.log_dict(self._means(part, self._evaluated))
        self.confusion.update(torch.cat(self.predictions), torch.cat(self._labels))
        self.matrix = self.confusion.compute().cpu()
        self.confusion.reset()
        self.predictions = [predicted.cpu() for predicted in self.predictions]

    def configure_optimizers(self) -> dict[str, Any]:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = build_optimizer(self.optim, trained, self.trainer.precision)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _add(sums: Tensor, loss: Tensor, predicted: Tensor, labels: Tensor) -> None:
    """Add a batch to the sums of loss, correct and images; in place, one by one, which is less than stacking them first."""
    for total, part in zip(sums.unbind(), (loss * len(labels), (predicted == labels).sum(), len(labels))):
        total.add_(part)


def build_optimizer(optim: Optim, params: list[nn.Parameter], precision: str = "32-true") -> torch.optim.Optimizer:
    """Return the optimiser of ``params``; fused, except where a loss scaler has to clip: torch forbids both."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optim.name]
    options = {"momentum": optim.momentum} if optim.name == "sgd" else {}
    fused = not (precision == "16-mixed" and optim.clip)
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
