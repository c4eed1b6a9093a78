"""The typed configuration: every key, its default, its range. Imports no torch.

A key that is ``free`` cannot change the result of a round, so it is left out of the round's key; so is every key that has its
default. Changing a default would therefore give every round another key. The comments are the help of the keys.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from hydra.core.config_store import ConfigStore

from lth.errors import UsageError

# Each differs from the ticket in one thing: training/start.py.
CONTROLS = ("reinit", "shuffle", "random", "order", "sign", "dense")
STARTS = ("init", "sign")  # values of prune.rewind that need no rewind checkpoint
CRITERIA = ("magnitude", "random", "snip", "grasp", "synflow")  # functions of pruning/criteria.py
# Networks of ours: built for any image size and number of channels, and without pretrained weights.
OWN = ("simple_cnn", "lenet_300_100", "conv2", "conv4", "conv6", "resnet20")
# Mean and standard deviation of each channel, of pixels in 0..1.
NORMALIZE = {
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "none": ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
    "mnist": ([0.1307], [0.3081]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
}
BOUNDS = {"above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le}


def key(default: Any, accepted: str = "", holds: Callable[[Any], Any] = lambda value: True, free: bool = False) -> Any:
    """Return a field for a key that takes the values for which ``holds``, in words: ``accepted``."""
    return field(default=default, metadata={"key": not free, "accepted": accepted, "holds": holds})


def choice(*choices: Any, free: bool = False) -> Any:
    """Return a field that takes one of ``choices``; the first one is its default."""
    return key(choices[0], f"one of {', '.join(map(str, choices))}", lambda value: value in choices, free)


def number(default: float, free: bool = False, **bounds: float) -> Any:
    """Return a field that takes a number within ``bounds``, which have the names of BOUNDS."""
    accepted = "a number " + " and ".join(f"{name.replace('_', ' ')} {bound}" for name, bound in bounds.items())
    return key(default, accepted, lambda value: all(BOUNDS[name](value, bound) for name, bound in bounds.items()), free)


def text(default: str, accepted: str, pattern: str, free: bool = False) -> Any:
    """Return a field that takes a text of a pattern."""
    return key(default, accepted, lambda value: re.fullmatch(pattern, value), free)


def kinds(default: str) -> Any:
    """Return a field that takes controls."""
    accepted, one = f"none, all, or {', '.join(CONTROLS)}, joined by '+'", "|".join(CONTROLS)
    return text(default, accepted, rf"none|all|({one})(\+({one}))*", free=True)


def require(holds: Any, key: str, value: Any, accepted: str) -> None:
    """Raise one sentence naming the key, the value and what would be accepted, unless ``holds``."""
    if not holds:
        raise UsageError(f"{key}={value} is not accepted: it takes {accepted}.")


class Checked:
    """A part of the configuration, whose values are checked when it is made."""

    def __post_init__(self) -> None:
        group = "" if isinstance(self, Config) else f"{type(self).__name__.lower()}."
        for part in fields(self):
            value, rule = getattr(self, part.name), part.metadata
            if "holds" in rule and value is not None:  # where None is no value, OmegaConf refuses it
                require(rule["holds"](value), group + part.name, value, rule["accepted"])


@dataclass
class Data(Checked):
    name: str = choice("intel", "folder", "scenes", "mnist", "cifar10", free=True)  # where the images come from
    root: str | None = key(None, "a folder", bool, free=True)  # the folder of the images; null: download, or render (scenes)
    classes: str = key("all", "all, or names of class folders joined by '+'", bool, free=True)  # which classes are used
    image_size: int = number(150, at_least=8, at_most=4096)  # pixels; every image is resized to image_size x image_size
    channels: int = choice(3, 1)  # 1: grey, 3: RGB; whatever the files hold is converted
    val_fraction: float = number(0.15, above=0, below=1)  # held out of each class of the training folder for validation
    # held out of each class for the test, only where the folder has no test part
    test_fraction: float = number(0.2, above=0, below=1)
    split_seed: int = number(0, at_least=0)  # draws both splits; the same for all replicates, which share their test images
    batch_size: int = number(64, at_least=1)  # images a step, over all devices
    # of training images: none, flip (mirrored), standard (also rotated, scaled and shifted)
    augment: str = choice("none", "flip", "standard")
    # mean and standard deviation of each channel; auto: those that the model expects
    normalize: str = choice("auto", *NORMALIZE)
    on_error: str = choice("fail", "skip", free=True)  # where an image cannot be decoded: end the run, or leave it out
    cache: str = key("${outputs}/cache", "a folder", bool, free=True)  # the folder of decoded pixels and downloads
    # read and hash all images, in place of those alone whose size, time or inode differs from when they were decoded
    verify: bool = key(False, free=True)
    cache_limit: float = number(16.0, at_least=0, free=True)  # GB of decoded pixels; larger folders are streamed
    workers: int = number(2, at_least=0, free=True)  # processes that decode images of streamed folders
    train_per_class: int = number(300, at_least=2, free=True)  # training images rendered, only for data=scenes
    test_per_class: int = number(100, at_least=1, free=True)  # test images rendered, only for data=scenes
    render_seed: int = number(0, at_least=0, free=True)  # draws the rendered images, only for data=scenes


@dataclass
class Model(Checked):
    name: str = "simple_cnn"  # a small network of ours, efficientnet_lite0, or any classification network of the library
    library: str = choice("torchvision", "timm")  # that builds networks of other names; timm with model=timm
    dropout: float = number(0.2, at_least=0, below=1)  # simple_cnn only: fraction dropped after each convolution
    width: float = number(1.0, above=0, at_most=64)  # resnet20 only: multiplies its channels
    head: str = choice("linear", "mlp")  # of networks made for transfer; mlp: features -> features / 2 -> ReLU -> classes
    weights: str = key("none", free=True)  # imagenet, none or a .pth or .safetensors file; the hash of the file is in the key
    # where a file lacks tensors, or has folded BatchNorm into convolutions: end the run, or keep what the seed draws. Not in the
    # key: a file that refuse takes is taken as a whole by both
    weights_missing: str = choice("refuse", "fresh", free=True)
    frozen_bn: str = choice("eval", "train")  # mode of BatchNorm in the blocks that are not trained
    target: str | None = None  # custom only: module:function of your own network, as make(classes, channels, image_size)
    version: str = ""  # custom only: of your own network's code: change it when the code changes what the network is

    def __post_init__(self) -> None:
        super().__post_init__()
        ours = self.name in (*OWN, "custom", "efficientnet_lite0")
        require(self.library != "timm" or not ours, "model.library", "timm", f"torchvision with model.name={self.name}")
        if self.name == "custom":
            named = re.fullmatch(r"[\w.]+:\w+", self.target or "")
            require(named, "model.target", self.target, "module:function with model=custom, such as my_nets:make")
            return
        for name, value in (("target", self.target), ("version", self.version)):
            require(not value, f"model.{name}", value, f"nothing with model={self.name}; it needs model=custom")

    @property
    def title(self) -> str:
        """What tables call the network."""
        return self.target or (f"timm/{self.name}" if self.library == "timm" else self.name)


@dataclass
class Prune(Checked):
    """A prune step: what is pruned, by which criterion, how much, what follows. The number of rounds is in no key."""

    # of pruning, not of the learning rate. imp: a training for each round; gradual: one training, as long as all of these
    schedule: str = choice("imp", "one_shot", "gradual", free=True)
    rounds: int = number(5, at_least=0, at_most=1000, free=True)  # how many times it is pruned; 0: the dense network alone
    rate: float = number(0.2, above=0, below=1)  # fraction of the remaining weights pruned in a round
    head: bool = True  # whether all layers of the head are pruned, too
    # the head's rate as a fraction of ``rate``; only with allocation=layerwise
    head_rate: float = number(1.0, above=0, at_most=1)
    # which weights are pruned: trainable (those that are trained), all, backbone (all but the head's)
    scope: str = choice("trainable", "all", "backbone")
    # scores of the trained weights; snip, grasp, synflow: of the weights rewound to
    criterion: str = choice(*CRITERIA)
    # what is pruned together: single weights, channels, or a pattern such as 2:4, two of four weights along the inputs
    structure: str = text(
        "weights", "weights, channels, or n:m such as 2:4, n below m", "weights|channels|[1-9][0-9]*:[1-9][0-9]*"
    )
    budget: str = choice("channels", "flops")  # channels only: what ``rate`` is a fraction of
    small: bool = False  # channels only: train tickets without their pruned channels, in place of masked; sooner done
    # which fraction of each layer: global (lowest scores of all), layerwise (the same), erk
    allocation: str = choice("global", "layerwise", "erk")
    score_images: int = number(10, at_least=1)  # training images of each class that snip and grasp look at
    # where later rounds start: init, the signs of init (sign), or where round 0 was after 500it (iterations) or 2ep (epochs)
    rewind: str = text("init", "init, sign, iterations such as 500it, or epochs such as 2ep", "init|sign|[1-9][0-9]*(it|ep)")
    # rewind: weights and schedule; lr: schedule alone; finetune (not the key that names layers): neither
    retrain: str = choice("rewind", "lr", "finetune")
    # the folder of a finished round, or a pattern that matches one: its masks are trained here, found elsewhere; one round
    ticket: str | None = key(None, "the folder of a finished round", bool, free=True)
    begin: float = number(0.0, at_least=0, below=1)  # gradual only: the part of the training before pruning begins
    end: float = number(0.75, above=0, at_most=1)  # gradual only: the part of the training after which nothing is pruned
    every: int = number(100, at_least=1)  # gradual only: iterations between prunings
    controls: str = kinds("none")  # networks trained beside the tickets, joined by +; all: all but order and sign
    # numbers of the rounds that have controls, joined by +
    control_rounds: str = text("all", "all, or numbers of rounds joined by '+'", r"all|[0-9]+(\+[0-9]+)*", free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        holds = self.head_rate == 1 or self.allocation == "layerwise"
        require(holds, "prune.head_rate", self.head_rate, "1 unless prune.allocation=layerwise")
        if self.rewind == "sign" or "sign" in self.controls.split("+"):
            self._check_sign()
        if self.structure != "weights":
            require(self.ticket is None, "prune.structure", self.structure, "weights with prune.ticket")
            self._check_structure()
        if self.schedule == "gradual":
            self._check_gradual()

    def _check_gradual(self) -> None:
        here = " with prune.schedule=gradual"
        require(self.ticket is None, "prune.ticket", self.ticket, f"null{here}")
        only = {"structure": "weights", "scope": "trainable", "criterion": "magnitude", "rewind": "init", "retrain": "rewind"}
        for name, value in only.items():
            require(getattr(self, name) == value, f"prune.{name}", getattr(self, name), f"{value}{here}")
        require(self.controls in ("none", "dense"), "prune.controls", self.controls, f"none or dense{here}")
        require(self.begin < self.end, "prune.begin", self.begin, f"a number below prune.end={self.end:g}{here}")

    def _check_sign(self) -> None:
        require(self.retrain == "rewind", "prune.retrain", self.retrain, "rewind with the signs of the initial weights")
        twice = self.rewind == "sign" and "sign" in self.controls.split("+")
        require(not twice, "prune.controls", self.controls, "no sign with prune.rewind=sign, from which its tickets start anyway")

    def _check_structure(self) -> None:
        here, channels = f" with prune.structure={self.structure}", self.structure == "channels"
        criteria = CRITERIA[:2] if channels else CRITERIA[:4]
        require(self.criterion in criteria, "prune.criterion", self.criterion, f"one of {', '.join(criteria)}{here}")
        allocations = ("global", "layerwise") if channels and self.budget == "channels" else ("global",)
        require(self.allocation in allocations, "prune.allocation", self.allocation, f"one of {', '.join(allocations)}{here}")
        require(self.head_rate == 1, "prune.head_rate", self.head_rate, f"1{here}")
        if not channels:
            n, m = map(int, self.structure.split(":"))
            require(n < m, "prune.structure", self.structure, "n:m with n below m")
            self.rate = 1 - n / m  # follows from the pattern


@dataclass
class Optim(Checked):
    name: str = choice("adam", "adamw", "sgd")  # the optimiser
    lr: float = number(0.001, above=0, below=inf)  # learning rate
    weight_decay: float = number(0.0, at_least=0, below=inf)  # added to the gradient (adam, sgd) or decoupled from it (adamw)
    momentum: float = number(0.9, at_least=0, below=1)  # sgd only
    schedule: str = choice("constant", "cosine", "step")  # of the learning rate, over a round; not of pruning (prune.schedule)
    gamma: float = number(0.1, above=0, below=1)  # step only: multiplies the learning rate at each milestone
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])  # step only: rising fractions of all iterations
    warmup: int = number(0, at_least=0)  # iterations over which the learning rate rises linearly to lr
    clip: float = number(0.0, at_least=0, below=inf)  # largest norm of the gradient; 0: no clipping
    # on a CPU, steps leave out the pruned weights of large layers that keep at most 2% of theirs; the same bits, in less time
    sparse: bool = key(False, free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.milestones = [float(m) for m in self.milestones]
        rising = self.milestones == sorted(set(self.milestones)) and all(0 < m < 1 for m in self.milestones)
        require(rising, "optim.milestones", self.milestones, "a list of rising fractions above 0 and below 1")


@dataclass
class Trainer(Checked):
    accelerator: str = choice("auto", "cpu", "gpu", free=True)  # auto: a GPU where there is one
    devices: int = number(1, at_least=1)  # how many train; in the key, because BatchNorm and dropout work on each device alone
    # auto: 32-true on a CPU, bf16-mixed or 16-mixed on a GPU, where a command thus has other keys
    precision: str = choice("auto", "32-true", "16-mixed", "bf16-mixed", free=True)
    channels_last: bool = key(True, free=True)  # memory layout of images and convolutions
    compile: bool = key(False, free=True)  # torch.compile of the network
    # The same bits each time on one machine, as on a CPU anyway; an error where torch cannot. Not in the key, because kernels
    # differ by rounding alone, as devices do.
    deterministic: bool = key(False, free=True)
    # minutes between checkpoints of a round; 0: only when a signal asks to stop
    checkpoint_minutes: float = number(5.0, at_least=0, free=True)
    val_check_interval: int = number(0, at_least=0)  # iterations between validations; 0: one at the end of each epoch


@dataclass
class Features(Checked):
    """The cache of the outputs of frozen blocks, see data/features.py."""

    cache: bool = key(True, free=True)  # compute the frozen blocks once for each image
    dtype: str = choice("float32", "float16", "bfloat16")  # of the cached values; float32 changes no result


@dataclass
class Logger(Checked):
    name: str = choice("tensorboard", "csv", "wandb", "mlflow", "none", free=True)  # where curves are written
    project: str = key("lth", free=True)  # wandb's project, mlflow's experiment
    offline: bool = key(True, free=True)  # wandb only: into outputs/wandb, for `wandb sync`; false: to the server, with a key
    uri: str | None = key(None, free=True)  # mlflow only: of the tracking server; null: the file outputs/mlflow.db


@dataclass
class Score(Checked):
    """What sweepers that optimise are given, see ``training.search.score``; part of no round."""

    # accuracy: validation accuracy at early stop of the last ticket; sparsest: sparsity of the sparsest ticket good enough
    name: str = choice("accuracy", "sparsest", free=True)
    # sparsest only: how far a ticket's validation accuracy may lie below its dense network's
    within: float = number(0.01, at_least=0, below=1, free=True)
    # sparsest only: the validation accuracy that a ticket needs anyway, since a poor dense network is easily matched
    at_least: float = number(0.0, at_least=0, below=1, free=True)


@dataclass
class Study(Checked):
    """A comparison of networks in one command, see lth/study; its rounds are those of ordinary experiments."""

    # networks, each a model.name, or that and a finetune, such as resnet18:layer3; empty: the command is no study
    models: list[str] = field(default_factory=list, metadata={"key": False})
    seeds: int = number(3, at_least=1, at_most=100, free=True)  # replicates of each network: seed, seed + 1, ...
    density: float = number(0.1, at_least=0.0001, below=1, free=True)  # weights remaining in the sparsest tickets, at most
    # what is pruned together, a chain of tickets each: weights, channels; channels have half as many rounds
    structures: list[str] = field(default_factory=lambda: ["weights", "channels"], metadata={"key": False})
    controls: str = kinds("reinit")  # of each chain's last ticket
    # time for training, from which seeds, epochs and rounds follow
    budget: str = text("none", "none, or a time such as 30min or 2h", "none|[1-9][0-9]*(s|min|h)", free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("weights", "channels")
        for odd in (name for name in self.structures if name not in known):
            require(False, "study.structures", odd, f"a list of {' and '.join(known)}, or of one of them")
        for odd in (name for name in self.models if not re.fullmatch(r"\w+(:[\w.+]+)?", name)):
            require(False, "study.models", odd, "names of networks such as resnet18, or resnet18:layer3")


@dataclass
class Config(Checked):
    seed: int = number(2018, at_least=0, below=2**32)  # draws initial weights, data order, augmentation, dropout and controls
    finetune: str = "all"  # which layers are trained: all, head, or blocks joined by +, with the head; prune=finetune is a method
    epochs: int = number(30, at_least=1)  # of each round
    outputs: str = key("outputs", "a folder", bool, free=True)  # the folder of rounds, tables and figures
    # the file of a ticket's trained weights: of their full shapes, or compact: those that the masks keep, without the zeros
    final: str = choice("dense", "compact", free=True)
    data: Data = field(default_factory=Data)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    prune: Prune = field(default_factory=Prune)
    optim: Optim = field(default_factory=Optim)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)
    score: Score = field(default_factory=Score)
    study: Study = field(default_factory=Study)

    def __post_init__(self) -> None:
        super().__post_init__()
        data, devices, grey = self.data, self.trainer.devices, (*OWN, "custom")
        here = f"3 with model={self.model.name}; 1 needs one of {', '.join(grey)}, or model=timm"
        any_channels = data.channels == 3 or self.model.name in grey or self.model.library == "timm"
        require(any_channels, "data.channels", data.channels, here)
        alone = devices == 1 or self.prune.rewind in STARTS
        require(alone, "prune.rewind", self.prune.rewind, "init or sign with several trainer.devices")
        alone = devices == 1 or not self.prune.small
        require(alone, "prune.small", self.prune.small, "false with several trainer.devices")
        alone = devices == 1 or self.prune.schedule != "gradual"
        require(alone, "prune.schedule", self.prune.schedule, "imp or one_shot with several trainer.devices")
        require(data.batch_size >= devices, "data.batch_size", data.batch_size, f"at least trainer.devices={devices}")


def register() -> None:
    """Put the schema into Hydra's ConfigStore, so that unknown keys and wrong types fail while composing."""
    ConfigStore.instance().store(name="schema", node=Config)
