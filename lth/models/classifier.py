"""The LightningModule that every architecture shares: loss, metrics, optimiser, schedule."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix
from typing_extensions import override

from lth.config import Optim
from lth.models import blocks


class Classifier(pl.LightningModule):
    """Cross-entropy training of ``self.net``, a plain network: images (n, 3, h, w) -> logits (n, classes).

    Logged: ``train/loss``, ``train/acc`` (running, over the epoch), ``val/loss``, ``val/acc``, ``test/acc``, ``lr``;
    accuracies are fractions. ``self.matrix`` is the confusion matrix of the last evaluation, rows = truth, (classes, classes);
    ``self.class_acc`` the accuracy of each class; ``self.predictions`` the classes given to the test images, by batch.

    Args:
        net: the network; its state_dict keys are those of every file that lth writes.
        optim: optimiser and schedule.
        classes: number of classes.
        finetune: ``all``, or names of ``blocks`` joined by ``+``; the head is always trained.
        frozen_bn: ``eval`` or ``train``, the mode of blocks that are not trained.

    Raises:
        UsageError: ``finetune`` names a block that the network does not have.
    """

    normalize: ClassVar[str] = "imagenet"
    head_name: str = "head"  # of the module in ``net`` that gives the logits

    def __init__(self, net: nn.Module, optim: Optim, classes: int, finetune: str = "all", frozen_bn: str = "eval") -> None:
        super().__init__()
        self.net, self.optim, self.frozen_bn = net, optim, frozen_bn
        # In tuples: not modules of this one again.
        self.frozen = [(block,) for block in blocks.train_only(net, finetune, self.head_name)]
        self.factor: Callable[[int], float] | None = None  # of the learning rate, by step; None: as ``optim`` says
        self.suffix: tuple[Callable[[Tensor], Tensor], ...] = ()  # what computes the logits where the prefix is cached
        self.metrics = MetricCollection(
            {
                "acc": MulticlassAccuracy(classes, average="micro", validate_args=False),
                "class_acc": MulticlassAccuracy(classes, average="none", validate_args=False),
                "matrix": MulticlassConfusionMatrix(classes, validate_args=False),
            }
        )
        self.eval_loss = MeanMetric()
        # Running sums on the device: a metric object updated at each step would cost more than a small step itself.
        # No buffer: ranks overwrite each other's buffers.
        self.sums = torch.zeros(3)  # loss, correct, images
        self.carried: Tensor | None = None  # the sums of an epoch that an earlier process began
        self.matrix: Tensor | None = None
        self.class_acc: Tensor | None = None
        self.predictions: list[Tensor] = []

    @property
    def blocks(self) -> list[str]:
        """Names of the network's blocks, from input to output; the last one is the head."""
        return list(blocks.blocks(self.net))

    @override
    def train(self, mode: bool = True) -> Self:
        """Frozen means frozen: frozen blocks stay in eval mode, or else BatchNorm's statistics would drift.

        ``frozen_bn=train`` lets them drift, as many a transfer-learning script does.
        """
        super().train(mode)
        if self.frozen_bn == "eval":
            for (block,) in self.frozen:
                block.eval()
        return self

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.suffix[0](images) if self.suffix else self.net(images)

    @override
    def on_train_epoch_start(self) -> None:
        self.sums = torch.zeros(3, device=self.device) if self.carried is None else self.carried.to(self.device)
        self.carried = None

    @override
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        with torch.no_grad():
            right = (logits.argmax(1) == labels).sum()
            self.sums += torch.stack([loss * len(labels), right, torch.tensor(len(labels), device=loss.device)])
        return loss

    def train_metrics(self) -> dict[str, float]:
        """``train/loss``, ``train/acc`` and ``lr`` of the epoch so far, over all ranks."""
        loss, right, images = self.trainer.strategy.reduce(self.sums.clone(), reduce_op="sum").tolist()
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return {"train/loss": loss / images, "train/acc": right / images, "lr": rate}

    @override
    def on_train_epoch_end(self) -> None:
        self.log_dict(self.train_metrics())

    @override
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch)

    @override
    def on_test_epoch_start(self) -> None:
        self.predictions = []

    @override
    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.predictions.append(self._evaluate(batch).cpu())

    def _evaluate(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        logits = self(images)
        predicted = logits.argmax(1)
        self.metrics.update(predicted, labels)
        self.eval_loss.update(F.cross_entropy(logits, labels), weight=len(labels))
        return predicted

    @override
    def on_validation_epoch_end(self) -> None:
        self._finish("val")

    @override
    def on_test_epoch_end(self) -> None:
        self._finish("test")

    def _finish(self, part: str) -> None:
        values = self.metrics.compute()
        self.matrix, self.class_acc = values["matrix"].cpu(), values["class_acc"].cpu()
        self.log_dict({f"{part}/loss": self.eval_loss.compute(), f"{part}/acc": values["acc"]})
        self.metrics.reset()
        self.eval_loss.reset()

    @override
    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = build_optimizer(self.optim, [p for p in self.parameters() if p.requires_grad], self.trainer.precision)
        total = self.trainer.estimated_stepping_batches
        factor = self.factor or (lambda step: lr_factor(self.optim, step, total))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_optimizer(optim: Optim, params: list[nn.Parameter], precision: str = "32-true") -> torch.optim.Optimizer:
    """The optimiser of ``optim`` over ``params``; fused, except where a loss scaler has to clip (torch forbids both)."""
    common = {"lr": optim.lr, "weight_decay": optim.weight_decay, "fused": not (precision == "16-mixed" and optim.clip)}
    match optim.name:
        case "adam":
            return torch.optim.Adam(params, **common)
        case "adamw":
            return torch.optim.AdamW(params, **common)
        case _:
            return torch.optim.SGD(params, momentum=optim.momentum, **common)


def lr_factor(optim: Optim, step: int, total: float) -> float:
    """What the learning rate is multiplied by at optimiser step ``step`` (from 0) of ``total``; in (0, 1]."""
    if step < optim.warmup:
        return (step + 1) / (optim.warmup + 1)
    if optim.schedule == "constant":
        return 1.0
    if optim.schedule == "step":  # the quotient of two integers meets a milestone exactly, their product may not
        return optim.gamma ** sum(step / total >= milestone for milestone in optim.milestones)
    return 0.5 * (1 + math.cos(math.pi * (step - optim.warmup) / max(1, total - optim.warmup)))
