"""The study's whole job as people do it with other tools, each by its documentation: one process a way.

    python -m tests.benchmarks.others WAY JOB      prints test accuracies of each round, and when the first one began

All read an ``ImageFolder`` through a ``DataLoader`` with two workers and train with Lightning's Trainer, its logger and its
ModelCheckpoint. The network, its initial weights and what of it is trained are those of ``lth.run``.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import ModelCheckpoint, ModelPruning
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, random_split
from torchvision import transforms
from torchvision.datasets import ImageFolder

from lth.config import NORMALIZE, Config, Data, Model
from lth.models.build import build
from tests.benchmarks.job import BATCH, LR, RATE, Job, Score, clocks
from tests.benchmarks.timing import parameters

Loaders = list[DataLoader]  # train, validate, test


class Plain(pl.LightningModule):
    """A classifier as Lightning's pages write it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int, part: str = "val") -> None:
        logits = self.net(batch[0])
        accuracy = (logits.argmax(1) == batch[1]).float().mean()
        self.log_dict({f"{part}_loss": F.cross_entropy(logits, batch[1]), f"{part}_acc": accuracy})

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.validation_step(batch, batch_idx, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters(self), lr=LR)


def loaders(job: Job) -> Loaders:
    steps = [transforms.Resize((job.size, job.size)), transforms.ToTensor(), transforms.Normalize(*NORMALIZE["imagenet"])]
    images = [ImageFolder(f"{job.root}/{part}", transforms.Compose(steps)) for part in ("seg_train", "seg_test")]
    train, val = random_split(images[0], [0.85, 0.15], torch.Generator().manual_seed(job.seed))
    load = partial(DataLoader, batch_size=BATCH, num_workers=2, persistent_workers=True)
    return [load(train, shuffle=True), load(val), load(images[1])]


def network(job: Job) -> nn.Module:
    torch.manual_seed(job.seed)
    config = Config(finetune=job.finetune, data=Data(image_size=job.size), model=Model(job.model))
    return build(config, len(ImageFolder(f"{job.root}/seg_test").classes)).net


def weights(net: nn.Module) -> list[tuple[nn.Module, str]]:
    """Return what is pruned, as torch's functions take it."""
    return [(m, "weight") for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and m.weight.requires_grad]


def train(job: Job, net: nn.Module, images: Loaders, epochs: int, callbacks: list[pl.Callback]) -> Score:
    """Train with a fresh Trainer; return the test accuracy after the last epoch and at the lowest validation loss."""
    module = Plain(net)
    kept = ModelCheckpoint(monitor="val_loss")
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=job.folder, callbacks=[kept, *callbacks])
    trainer.fit(module, *images[:2])
    end, last = trainer.test(module, images[2])[0]["test_acc"], copy.deepcopy(net.state_dict())
    early = trainer.test(module, images[2], ckpt_path="best")[0]["test_acc"]
    net.load_state_dict(last)
    return end, early


def rewound(net: nn.Module, initial: dict[str, Tensor]) -> nn.Module:
    """Set all weights and buffers back, by hand; torch calls the weights that it prunes ``weight_orig``."""
    for name, tensor in net.state_dict().items():
        if not name.endswith("_mask"):
            tensor.copy_(initial[name.removesuffix("_orig")])
    return net


def by_hand(job: Job, net: nn.Module) -> Iterator[nn.Module]:
    """The tutorial of torch.nn.utils.prune; each round prunes a fraction of what is left."""
    pruned, initial = weights(net), copy.deepcopy(net.state_dict())
    yield net
    for _ in range(job.rounds):
        prune.global_unstructured(pruned, pruning_method=prune.L1Unstructured, amount=RATE)
        yield rewound(net, initial)


class Masked(nn.Module):
    """open_lth's way to mask: each forward pass multiplies the weights by buffers of floats."""

    def __init__(self, net: nn.Module, masks: list[Tensor]) -> None:
        super().__init__()
        self.net = net
        for k, mask in enumerate(masks):
            self.register_buffer(f"mask_{k}", mask)

    def forward(self, images: Tensor) -> Tensor:
        for (module, _), mask in zip(weights(self.net), self.buffers(recurse=False), strict=True):
            module.weight.data *= mask
        return self.net(images)


def in_forward(job: Job, net: nn.Module) -> Iterator[nn.Module]:
    """open_lth's rounds: weights above the threshold that a sort of the remaining ones gives are kept."""
    initial, masks = copy.deepcopy(net.state_dict()), [torch.ones_like(m.weight) for m, _ in weights(net)]
    yield Masked(net, masks)
    for _ in range(job.rounds):
        sizes = [m.weight.detach().abs() for m, _ in weights(net)]
        remaining = torch.cat([size[mask == 1] for size, mask in zip(sizes, masks)]).sort().values
        threshold = remaining[int(RATE * len(remaining))]
        masks = [(size > threshold) * mask for size, mask in zip(sizes, masks)]
        yield Masked(rewound(net, initial), masks)


def smaller(job: Job, net: nn.Module) -> Iterator[nn.Module]:
    """Torch-Pruning's iterative pruning: each round takes channels out of every layer, and trains on from the trained weights."""
    import torch_pruning as tp

    head = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
    pruner = tp.pruner.MagnitudePruner(
        net, torch.rand(1, 3, job.size, job.size), tp.importance.GroupMagnitudeImportance(p=2), iterative_steps=job.rounds,
        pruning_ratio=1 - (1 - RATE) ** job.rounds, ignored_layers=[head],
        iterative_pruning_ratio_scheduler=lambda _, steps: [1 - (1 - RATE) ** k for k in range(steps + 1)],
    )  # fmt: skip
    yield net
    for _ in range(job.rounds):
        pruner.step()
        yield net


def callback(job: Job, net: nn.Module, images: Loaders) -> list[Score]:
    """Lightning's ModelPruning, one fit for all rounds; it has no test accuracy but the last one's."""
    ends = [k * job.epochs - 1 for k in range(1, job.rounds + 1)]
    pruning = ModelPruning(
        "l1_unstructured", weights(net), amount=RATE, apply_pruning=lambda epoch: epoch in ends,
        use_lottery_ticket_hypothesis=True, make_pruning_permanent=True,
    )  # fmt: skip
    end, _ = train(job, net, images, job.epochs * (job.rounds + 1), [pruning])  # the lowest loss is of any round
    return [(end, None)]


def rounds(way: Callable[[Job, nn.Module], Iterator[nn.Module]], job: Job, net: nn.Module, images: Loaders) -> list[Score]:
    return [train(job, one, images, job.epochs, []) for one in way(job, net)]


WAYS = {"callback": callback} | {way.__name__: partial(rounds, way) for way in (by_hand, in_forward, smaller)}

if __name__ == "__main__":
    asked, begin = Job(**json.loads(sys.argv[2])), clocks()
    print(json.dumps([WAYS[sys.argv[1]](asked, network(asked), loaders(asked)), begin]))
