"""The task of the commands: one of lth's networks, or torchvision's, or one's own, on folders of images."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from typing_extensions import override

from lth.config import Config
from lth.data.augment import normalization
from lth.data.module import ImageData
from lth.data.split import Splits
from lth.errors import UsageError, notice_once
from lth.models import flops
from lth.models.build import build
from lth.models.classifier import Classifier, lr_factor
from lth.pruning import coupling
from lth.pruning import masks as M
from lth.pruning.channels import Group, Keep
from lth.pruning.slicing import take
from lth.seeds import stream
from lth.training import connectivity
from lth.training.device import Device
from lth.training.prefix import Prefix
from lth.training.task import Names, State, Task, copied
from lth.tree.checkpoint import Checkpoint


class ImageTask(Task):
    """Classification of images by a network that ``config.model`` names; initialised from the seed.

    Args:
        weights: the file of the pretrained weights, if there is one.
        say: called with one line on the cached features.
    """

    zero_stays = True

    def __init__(self, config: Config, splits: Splits, device: Device, weights: Path | None, say: Callable[[str], None]) -> None:
        self.splits = splits
        torch.manual_seed(stream("initialisation", config.seed))
        self.made = build(config, len(splits.classes), weights)
        super().__init__(config, self.made.net, "net", device, Names())
        data, net = config.data, self.made.net
        self.layer_flops = flops.per_layer(net, data.image_size, data.channels)
        self.normalize = self.made.normalize if data.normalize == "auto" else data.normalize
        self.steps_per_epoch = self._data(config.seed).batches(config.trainer.devices)
        self.images_per_step = len(splits.train) / self.steps_per_epoch
        self.say = say
        if config.optim.sparse and device.accelerator != "cpu":
            notice_once("optim.sparse has no effect on a GPU: it is for training on a CPU.")
        self._groups: Sequence[Group] | None = None  # found when channels are first pruned
        self._prepare()

    def _prepare(self) -> None:
        """Make ready to train ``made.net``: memory layout, compiling, cached features."""
        self.network = self.made.net
        if self.config.trainer.channels_last:
            self.network.to(memory_format=torch.channels_last)
        if self.config.trainer.compile:
            self.network.compile()
        self.prefix = Prefix(self.config, self.made, self._data(self.config.seed), self.device, self.say)

    def _data(self, seed: int, **position: Any) -> ImageData:
        data = self.config.data
        return ImageData(
            self.splits, data.batch_size, seed, self.normalize, data.augment, data.workers, data.channels, **position
        )

    @override
    def build(self) -> nn.Module:
        return build(self.config, len(self.splits.classes)).net

    @override
    def rewind_(self, weights: State, masks: M.Masks) -> None:
        super().rewind_(weights, masks)
        self.prefix.run()

    @override
    def modules(
        self, seed: int, checkpoint: Checkpoint, epochs: int, constant_rate: bool
    ) -> tuple[pl.LightningModule, pl.LightningDataModule, float | None]:
        optim, total = self.config.optim, self.steps_per_epoch * epochs
        last = lr_factor(optim, total - 1, total)
        if constant_rate and last < 1e-3:
            raise UsageError(
                f"prune.retrain=finetune is not accepted with optim.schedule={optim.schedule}, which ends at a rate of about 0; "
                "it takes constant or step."
            )

        def factor(step: int) -> float:
            return last if constant_rate else lr_factor(optim, step, total)

        progress = checkpoint.progress
        sums = progress.sums.get("sums") if progress else None
        module = Classifier(self.made, optim, len(self.splits.classes), factor=factor, sums=sums, suffix=self.prefix.suffix)
        skipped = checkpoint.step - checkpoint.epoch * self.steps_per_epoch
        data = self._data(seed, begin=(checkpoint.epoch, skipped), features=self.prefix.features)
        return module, data, optim.lr * factor(checkpoint.step)

    @override
    def prunable(self, *, dense: bool = False) -> list[str]:
        if dense:
            return M.prunable(self.network, scope="all")
        prune = self.config.prune
        spare = [] if prune.head and prune.scope != "backbone" else [self.made.head]
        return M.prunable(self.network, spare=spare, scope=prune.scope)

    @override
    def head_weights(self) -> list[str]:
        backbone = set(M.prunable(self.network, spare=[self.made.head], scope="all"))
        return [name for name in M.prunable(self.network, scope="all") if name not in backbone]

    @override
    def groups(self) -> Sequence[Group]:
        if self._groups is None:
            image = next(self.network.parameters()).new_zeros(1, *self.input_shape())
            groups, refused = coupling.coupled(self.network, image)
            total = len(groups) + len(refused)
            self._groups = coupling.within(groups, self.network, self.prunable())
            if not self._groups:
                raise UsageError(
                    f"prune.structure=channels is not accepted with finetune={self.config.finetune}: no group has all of "
                    "its weights pruned; finetune=all has some."
                )
            refused |= {g.slices[0].module: "not all of its weights are pruned" for g in groups if g not in self._groups}
            if refused:
                some = "; ".join(f"{name}: {why}" for name, why in list(refused.items())[:3])
                self.say(f"channels are left whole in {len(refused)} of {total} groups ({some})")
        return self._groups

    @override
    def without(self, groups: Sequence[Group], keep: Keep) -> "ImageTask":
        small = copy.copy(self)
        small.made = copy.deepcopy(self.made)
        take(small.made.net, groups, keep)
        small._prepare()
        return small

    @override
    def flops(self, masks: M.Masks) -> float:
        return flops.remaining(self.layer_flops, masks)

    @override
    def batch(self) -> tuple[Tensor, Tensor]:
        """``prune.score_images`` training images of each class, drawn by the seed, without augmentation, on the device."""
        splits, generator = self.splits, np.random.default_rng(stream("score images", self.config.seed))
        labels, count = splits.train_images.labels[splits.train], self.config.prune.score_images
        chosen = np.concatenate([generator.permutation(splits.train[labels == k])[:count] for k in np.unique(labels)])
        pixels = torch.from_numpy(splits.train_images.take(chosen))
        images = self._data(self.config.seed).to_float(pixels)
        return images.to(self.device.torch_name), torch.from_numpy(splits.train_images.labels[chosen]).to(self.device.torch_name)

    @override
    def input_shape(self) -> tuple[int, ...]:
        data = self.config.data
        return data.channels, data.image_size, data.image_size

    @override
    def facts(self, masks: M.Masks) -> dict[str, Any]:
        splits, data = self.splits, self.config.data
        mean, std = normalization(self.normalize, data.channels)
        return {
            "model": self.config.model.title,
            "data": data.name if data.classes == "all" else f"{data.name} {'+'.join(splits.classes)}",
            "pretrained": self.config.model.weights != "none",
            **flops.sizes(sum(p.numel() for p in self.network.parameters()), masks, self.layer_flops),
            "classes": splits.classes,
            "image_size": data.image_size,
            "mean": mean,
            "std": std,
            "images": {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        }

    @override
    def tested(self, module: pl.LightningModule) -> tuple[dict[str, Any], np.ndarray | None]:
        accuracies = module.matrix.diagonal() / module.matrix.sum(1).clamp(min=1)
        facts = {
            "test_class_acc": dict(zip(self.splits.classes, accuracies.tolist())),
            "test_confusion": module.matrix.tolist(),
        }
        return facts, torch.cat(module.predictions).numpy()

    @override
    def line(self, one: State) -> dict[str, Any]:
        module = Classifier(self.made, self.config.optim, len(self.splits.classes))
        return connectivity.line(module.net.to(self.device.torch_name), self._data(self.config.seed), one, copied(self.network))
