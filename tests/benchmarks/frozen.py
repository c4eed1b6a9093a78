"""Transfer learning with the frozen prefix computed once, against computing it at each step, and against the suffix alone."""

import statistics
import tempfile
import time
from itertools import pairwise

import torch

from lth.config import Config, Data, Features, Logger, Model, Optim, Prune
from lth.data.module import ImageData
from lth.data.split import Splits, prepare
from lth.models import build as models
from lth.models.classifier import Classifier, build_optimizer
from lth.models.cut import cut
from lth.training.search import search
from lth.tree import metrics
from tests.benchmarks.timing import medians, parameters, show, train

CASES = (
    ("resnet18", "head"),
    ("resnet18", "layer4"),
    ("densenet121", "head"),
    ("densenet121", "denseblock4"),
    ("efficientnet_lite0", "head"),
    ("efficientnet_lite0", "blocks.15+conv_head+bn1"),
)
EPOCHS, UNCACHED = 30, 2


def run(data: Data, model: str, finetune: str, cache: bool, epochs: int) -> list[float]:
    """Seconds of each epoch, training and validation, of the dense network through the whole of ``lth``."""
    with tempfile.TemporaryDirectory() as folder:
        conf = Config(
            seed=0, finetune=finetune, epochs=epochs, outputs=folder, data=data, features=Features(cache=cache),
            model=Model(model), prune=Prune(rounds=0), logger=Logger("none"),
        )  # fmt: skip
        [record] = search(conf, say=lambda line: None)
        ends = [0.0, *(row["seconds"] for row in metrics.read(record.folder / "metrics.csv"))]
        return [b - a for a, b in pairwise(ends)]


def suffix(data: Data, splits: Splits, model: str, finetune: str) -> float:
    """The limit: seconds of an epoch of the suffix alone, its batches in memory; forward, backward, optimiser; validation."""
    network = models.build(Config(finetune=finetune, data=data, model=Model(model)), 6)
    network.net.to(memory_format=torch.channels_last)
    halves, net = cut(network.net), Classifier(network, Optim(), 6)
    images, take = ImageData(splits, data.batch_size, 0), splits.train_images.take
    loaders = (images.train_dataloader(), images.val_dataloader())
    with torch.no_grad():
        kept, held = (
            [halves.prefix(images.to_float(torch.from_numpy(take(rows)))) for rows, _ in loader.sampler] for loader in loaders
        )
    batches = [(x, torch.randint(0, 6, (len(x),))) for x in kept]
    optimizer = build_optimizer(Optim(), parameters(net))

    def epoch() -> None:
        train(halves.suffix, optimizer, batches)
        net.eval()
        with torch.no_grad():
            for x in held:
                halves.suffix(x)
        net.train()

    return medians({"suffix": epoch}, runs=5, warm=1)["suffix"]


def frozen() -> None:
    """30 epochs with the cache, its building included, against 30 times the median epoch without it, and the suffix alone."""
    with tempfile.TemporaryDirectory() as folder:
        for model, finetune in CASES:
            data = Data(name="scenes", train_per_class=100, test_per_class=20, cache=f"{folder}/{model}-{finetune}")
            splits = prepare(data)
            begin = time.perf_counter()
            run(data, model, finetune, True, EPOCHS)
            whole = time.perf_counter() - begin
            epoch = statistics.median(run(data, model, finetune, True, EPOCHS))
            again = time.perf_counter() - begin - whole
            without = EPOCHS * statistics.median(run(data, model, finetune, False, UNCACHED))
            limit = suffix(data, splits, model, finetune)
            title, without_cache = f"{model} {finetune}, {len(splits.train)} images, {EPOCHS} epochs", "without the cache"
            show(title, {"first round": whole, "later rounds": again, without_cache: without}, without_cache, 1)
            show(f"{model} {finetune}, an epoch", {"from the cache": epoch, "suffix alone": limit}, "suffix alone", EPOCHS)
