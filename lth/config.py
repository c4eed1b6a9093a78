"""The typed configuration: every key, its default, its range. Imports no torch.

A field with ``metadata=FREE`` cannot change the result of a round, so it is left out of the round's key; so is every field
that has its default. Changing a default would therefore give every round another key. The comments are the help of the keys.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

from lth.errors import UsageError

FREE = {"key": False}
CONTROLS = ("reinit", "shuffle", "random", "order", "dense")  # each differs from the ticket in one thing: training/start.py
CRITERIA = ("magnitude", "random", "snip", "grasp", "synflow")  # functions of pruning/criteria.py
ALLOCATIONS = ("global", "layerwise", "erk")
RETRAIN = ("rewind", "lr", "finetune")
# Networks of ours: built for any image size and number of channels, and without pretrained weights.
OWN = ("simple_cnn", "lenet_300_100", "conv2", "conv4", "conv6", "resnet20")


def free(default: Any) -> Any:
    """Return a field that cannot change a round's result, such as where files lie or which device computes."""
    return field(default=default, metadata=FREE)


def require(holds: bool, key: str, value: Any, accepted: str) -> None:
    """Raise one sentence naming the key, the value and what would be accepted, unless ``holds``."""
    if not holds:
        raise UsageError(f"{key}={value} is not accepted: it takes {accepted}.")


def require_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    require(value in choices, key, value, f"one of {', '.join(choices)}")


@dataclass
class Data:
    name: str = free("intel")  # where the images come from: a choice of the group data
    root: str | None = free(None)  # the folder of the images; null: download, or render (scenes)
    image_size: int = 150  # pixels; every image is resized to image_size x image_size
    channels: int = 3  # 1: grey, 3: RGB; whatever the files hold is converted
    val_fraction: float = 0.15  # held out of each class of the training folder for validation
    test_fraction: float = 0.2  # held out of each class for the test, only where the folder has no test part
    split_seed: int = 0  # draws both splits; the same for all replicates, which are compared on the same images
    batch_size: int = 64  # images a step, over all devices
    augment: str = "none"  # of training images: none, flip (mirrored), standard (also rotated, scaled and shifted)
    normalize: str = "auto"  # mean and standard deviation of each channel; auto: those that the model expects
    on_error: str = free("fail")  # where an image cannot be decoded: end the run (fail), or leave it out (skip)
    cache: str = free("${outputs}/cache")  # the folder of decoded pixels and downloads
    cache_limit: float = free(16.0)  # GB of decoded pixels; larger folders are streamed
    workers: int = free(2)  # processes that decode images of streamed folders
    train_per_class: int = free(300)  # training images rendered, only for data=scenes
    test_per_class: int = free(100)  # test images rendered, only for data=scenes
    render_seed: int = free(0)  # draws the rendered images, only for data=scenes

    def __post_init__(self) -> None:
        require_choice("data.name", self.name, ("intel", "folder", "scenes", "mnist", "cifar10"))
        require(8 <= self.image_size <= 4096, "data.image_size", self.image_size, "8 to 4096 pixels")
        require(self.channels in (1, 3), "data.channels", self.channels, "1 (grey) or 3 (RGB)")
        require(0 < self.val_fraction < 1, "data.val_fraction", self.val_fraction, "a fraction above 0 and below 1")
        require(self.root != "", "data.root", self.root, "a folder, or null")
        require(self.cache != "", "data.cache", self.cache, "a folder")
        require(0 < self.test_fraction < 1, "data.test_fraction", self.test_fraction, "a fraction above 0 and below 1")
        require(self.split_seed >= 0, "data.split_seed", self.split_seed, "0 or more")
        require(self.render_seed >= 0, "data.render_seed", self.render_seed, "0 or more")
        require(self.batch_size >= 1, "data.batch_size", self.batch_size, "1 or more images")
        require(self.cache_limit >= 0, "data.cache_limit", self.cache_limit, "0 or more gigabytes")
        require(self.workers >= 0, "data.workers", self.workers, "0 or more processes")
        require(self.train_per_class >= 2, "data.train_per_class", self.train_per_class, "2 or more images")
        require(self.test_per_class >= 1, "data.test_per_class", self.test_per_class, "1 or more images")
        require_choice("data.augment", self.augment, ("none", "flip", "standard"))
        require_choice("data.normalize", self.normalize, ("auto", "imagenet", "half", "none", "mnist", "cifar10"))
        require_choice("data.on_error", self.on_error, ("fail", "skip"))


@dataclass
class Model:
    name: str = "simple_cnn"  # a small network of ours, efficientnet_lite0, or any classification network of torchvision
    dropout: float = 0.2  # simple_cnn only: fraction of activations dropped after each convolution
    width: float = 1.0  # resnet20 only: multiplies its channels
    head: str = "linear"  # of networks made for transfer: one layer, or (mlp) features -> features / 2 -> ReLU -> classes
    weights: str = free("none")  # imagenet, none or a .pth or .safetensors file; the hash of the file is in the key
    frozen_bn: str = "eval"  # mode of BatchNorm in the blocks that are not trained
    target: str | None = None  # custom only: module:function of your own network, as make(classes, channels, image_size)
    version: str = ""  # custom only: of your own network's code: change it when the code changes what the network is

    def __post_init__(self) -> None:
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "a fraction from 0 to below 1")
        require(0 < self.width <= 64, "model.width", self.width, "a number above 0, at most 64")
        require_choice("model.head", self.head, ("mlp", "linear"))
        require_choice("model.frozen_bn", self.frozen_bn, ("eval", "train"))
        if self.name == "custom":
            is_path = re.fullmatch(r"[\w.]+:\w+", self.target or "") is not None
            require(is_path, "model.target", self.target, "module:function with model=custom, such as my_nets:make")
        else:
            require(
                self.target is None, "model.target", self.target, f"null with model={self.name}; a function needs model=custom"
            )
            require(self.version == "", "model.version", self.version, f"nothing with model={self.name}; it needs model=custom")


@dataclass
class Prune:
    """A prune step: what is pruned, by which criterion, how much, what follows. The number of rounds is in no key."""

    schedule: str = free("imp")  # of pruning, not of the learning rate (optim.schedule). imp: train in each round; one_shot: once
    rounds: int = free(5)  # how many times it is pruned; 0: the dense network alone
    rate: float = 0.2  # fraction of the remaining weights pruned in a round
    head: bool = True  # whether all layers of the head are pruned, too
    head_rate: float = 1.0  # the head's rate as a fraction of ``rate``; only with allocation=layerwise
    scope: str = "trainable"  # which weights are pruned: trainable (those that are trained), all, backbone (all but the head's)
    criterion: str = "magnitude"  # scores of the trained weights; snip, grasp, synflow: of the weights rewound to
    allocation: str = "global"  # which fraction of each layer: global (lowest scores of all), layerwise (the same), erk
    score_images: int = 10  # training images of each class that snip and grasp look at
    rewind: str = "init"  # where later rounds start: init, or where round 0 was after 500it (iterations) or 2ep (epochs)
    retrain: str = "rewind"  # rewind: weights and schedule; lr: schedule alone; finetune (not the key that names layers): neither
    controls: str = free("none")  # networks trained beside the tickets, joined by +; all: all but order
    control_rounds: str = free("all")  # numbers of the rounds that have controls, joined by +

    def __post_init__(self) -> None:
        require_choice("prune.schedule", self.schedule, ("imp", "one_shot"))
        require_choice("prune.scope", self.scope, ("trainable", "all", "backbone"))
        require(0 <= self.rounds <= 1000, "prune.rounds", self.rounds, "0 (the dense network alone) or more rounds, at most 1000")
        require(0 < self.rate < 1, "prune.rate", self.rate, "a fraction above 0 and below 1")
        require(0 < self.head_rate <= 1, "prune.head_rate", self.head_rate, "a fraction above 0, at most 1")
        require_choice("prune.criterion", self.criterion, CRITERIA)
        require_choice("prune.allocation", self.allocation, ALLOCATIONS)
        require(self.score_images >= 1, "prune.score_images", self.score_images, "1 or more images of each class")
        wanted = "init, iterations such as 500it, or epochs such as 2ep"
        require(re.fullmatch(r"init|[1-9][0-9]*(it|ep)", self.rewind) is not None, "prune.rewind", self.rewind, wanted)
        require_choice("prune.retrain", self.retrain, RETRAIN)
        layerwise = self.head_rate == 1 or self.allocation == "layerwise"
        require(layerwise, "prune.head_rate", self.head_rate, "1 unless prune.allocation=layerwise")
        accepted = f"none, all, or {', '.join(CONTROLS)}, joined by '+'"
        kinds = set(self.controls.split("+"))
        require(self.controls in ("none", "all") or kinds <= set(CONTROLS), "prune.controls", self.controls, accepted)
        chosen = self.control_rounds == "all" or re.fullmatch(r"[0-9]+(\+[0-9]+)*", self.control_rounds) is not None
        require(chosen, "prune.control_rounds", self.control_rounds, "all, or numbers of rounds joined by '+'")


@dataclass
class Optim:
    name: str = "adam"  # the optimiser
    lr: float = 0.001  # learning rate
    weight_decay: float = 0.0  # added to the gradient (adam, sgd) or decoupled from it (adamw)
    momentum: float = 0.9  # sgd only
    schedule: str = "constant"  # of the learning rate, over all iterations of a round; not of pruning (prune.schedule)
    gamma: float = 0.1  # step only: multiplies the learning rate at each milestone
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])  # step only: fractions of all iterations
    warmup: int = 0  # iterations over which the learning rate rises linearly to lr
    clip: float = 0.0  # largest norm of the gradient; 0: no clipping

    def __post_init__(self) -> None:
        require_choice("optim.name", self.name, ("adam", "adamw", "sgd"))
        require(0 < self.lr < math.inf, "optim.lr", self.lr, "a number above 0")
        require(0 <= self.weight_decay < math.inf, "optim.weight_decay", self.weight_decay, "0 or more")
        require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "a fraction from 0 to below 1")
        require_choice("optim.schedule", self.schedule, ("constant", "cosine", "step"))
        require(0 < self.gamma < 1, "optim.gamma", self.gamma, "a fraction above 0 and below 1")
        self.milestones = [float(m) for m in self.milestones]
        rising = self.milestones == sorted(set(self.milestones)) and all(0 < m < 1 for m in self.milestones)
        require(rising, "optim.milestones", self.milestones, "a list of rising fractions above 0 and below 1")
        require(self.warmup >= 0, "optim.warmup", self.warmup, "0 or more iterations")
        require(0 <= self.clip < math.inf, "optim.clip", self.clip, "0 (off) or more")


@dataclass
class Trainer:
    accelerator: str = free("auto")  # auto: a GPU where there is one
    devices: int = 1  # how many devices train; in the key, because BatchNorm and dropout work on each device alone
    precision: str = free("auto")  # auto: 32-true on a CPU, bf16-mixed or 16-mixed on a GPU, where a command thus has other keys
    channels_last: bool = free(True)  # memory layout of images and convolutions
    compile: bool = free(False)  # torch.compile of the network
    # The same bits each time on one machine, as on a CPU anyway; an error where torch cannot. Not in the key, because kernels
    # differ by rounding alone, as devices do.
    deterministic: bool = free(False)
    checkpoint_minutes: float = free(5.0)  # minutes between checkpoints of a round; 0: only when a signal asks to stop
    val_check_interval: int = 0  # iterations between validations; 0: one at the end of each epoch

    def __post_init__(self) -> None:
        require_choice("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        require(self.devices >= 1, "trainer.devices", self.devices, "1 or more devices")
        require(self.checkpoint_minutes >= 0, "trainer.checkpoint_minutes", self.checkpoint_minutes, "0 or more minutes")
        require(self.val_check_interval >= 0, "trainer.val_check_interval", self.val_check_interval, "0 or more iterations")
        require_choice("trainer.precision", self.precision, ("auto", "32-true", "16-mixed", "bf16-mixed"))


@dataclass
class Features:
    """The cache of the outputs of frozen blocks, see data/features.py."""

    cache: bool = free(True)  # compute the frozen blocks once for each image
    dtype: str = "float32"  # of the cached values; float32 changes no result

    def __post_init__(self) -> None:
        require_choice("features.dtype", self.dtype, ("float32", "float16", "bfloat16"))


@dataclass
class Logger:
    name: str = free("tensorboard")  # where curves are written besides metrics.csv
    project: str = free("lth")  # wandb's project, mlflow's experiment
    offline: bool = free(True)  # wandb only: into outputs/wandb, for `wandb sync`; false: to the server, with a key
    uri: str | None = free(None)  # mlflow only: of the tracking server; null: the file outputs/mlflow.db

    def __post_init__(self) -> None:
        require_choice("logger.name", self.name, ("tensorboard", "csv", "wandb", "mlflow", "none"))


@dataclass
class Config:
    seed: int = 2018  # draws initial weights, data order, augmentation, dropout and controls
    finetune: str = "all"  # which layers are trained: all, head, or blocks joined by +, with the head; prune=finetune is a method
    epochs: int = 30  # of each round
    outputs: str = free("outputs")  # the folder of rounds, tables and figures
    data: Data = field(default_factory=Data)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    prune: Prune = field(default_factory=Prune)
    optim: Optim = field(default_factory=Optim)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        grey = (*OWN, "custom")
        here = f"3 with model={self.model.name}; 1 needs one of {', '.join(grey)}"
        require(self.data.channels == 3 or self.model.name in grey, "data.channels", self.data.channels, here)
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more epochs")
        require(self.outputs != "", "outputs", self.outputs, "a folder")
        least = self.trainer.devices
        several = least == 1 or self.prune.rewind == "init"
        require(several, "prune.rewind", self.prune.rewind, "init with several trainer.devices")
        require(self.data.batch_size >= least, "data.batch_size", self.data.batch_size, f"at least trainer.devices={least}")


def register() -> None:
    """Put the schema into Hydra's ConfigStore, so that unknown keys and wrong types fail while composing."""
    ConfigStore.instance().store(name="schema", node=Config)
