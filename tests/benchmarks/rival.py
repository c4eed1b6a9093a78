"""Torch-Pruning's own way beside channel tickets: prune the dense network once, then fine-tune it for as many epochs in all."""

import copy
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from lth.config import Config
from lth.data.module import ImageData
from lth.data.split import prepare
from lth.export import card, latency, programs, source
from lth.export.shrink import shrink
from lth.models import flops
from lth.training.model import read_config
from lth.tree import record
from tests.benchmarks.tune import fine_tune


def rival(outputs: str = "outputs", multiple: str = "8") -> None:
    """Print a line on the dense network, the last channel ticket and the rival, for each seed of each experiment.

    Args:
        outputs: folder of finished rounds of networks that were trained as a whole; or the folder of one ticket.
        multiple: of which numbers of channels are, in the exported ticket and in the rival.
    """
    for folder in tickets(Path(outputs)):
        compare(source.load(folder), read_config(folder / "config.yaml"), int(multiple))


def tickets(place: Path) -> list[Path]:
    """Return the folders of the sparsest channel tickets, one a chain, by seed."""
    if (place / "round.json").is_file():
        return [place]
    last = {}
    for one in sorted(record.read(place).records, key=lambda r: (r.seed, r.round)):
        if one.round and one.control is None and one.settings.get("prune.structure") == "channels" and one.finetune == "all":
            last[one.seed, one.recipe, one.step] = one.folder
    return list(last.values())


def compare(ticket: source.Source, config: Config, multiple: int) -> None:
    facts, image = ticket.record, torch.rand(1, *ticket.shape)
    small = shrink(ticket.net, image, multiple).network
    pruned = smaller(ticket.dense_net, image, cost(small, image), multiple)
    data = ImageData(prepare(config.data), config.data.batch_size, config.seed, "none", config.data.augment)
    data.mean, data.std = facts.mean, facts.std
    scores = {one.name: (one.early_stop_test_acc, one.test_acc) for one in (ticket.dense, facts)}
    scores["Torch-Pruning"] = fine_tune(pruned, config, data, facts.epochs * facts.round)
    networks = dict(zip(scores, (ticket.dense_net, small, pruned), strict=True))
    faster = times(networks, ticket)
    for name, net in networks.items():
        early, end = scores[name]
        accuracy = f"test accuracy {early:.3f} at the lowest validation loss, {end:.3f} at the end"
        size = f"{cost(net, image) / 1e6:.1f} MFLOPs, {card.parameters(net):,} parameters"
        print(f"{name}: {accuracy}; {size}; times faster at batch 1 and 32: {faster[name]}", flush=True)


def cost(net: nn.Module, image: Tensor) -> int:
    """Return the FLOPs of one image."""
    return sum(flops.per_layer(net, image.shape[3], image.shape[1]).values())


def smaller(dense: nn.Module, image: Tensor, most: int, multiple: int) -> nn.Module:
    """Return the largest copy of at most ``most`` FLOPs that Torch-Pruning's page makes by one ratio for all layers."""
    import torch_pruning as tp

    def at(ratio: float) -> nn.Module:
        net = copy.deepcopy(dense).eval().requires_grad_(True)
        head = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
        importance, sizes = tp.importance.GroupMagnitudeImportance(p=2), multiple if multiple > 1 else None
        tp.pruner.MagnitudePruner(net, image, importance, pruning_ratio=ratio, ignored_layers=[head], round_to=sizes).step()
        return net

    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(at(middle), image) <= most else (middle, high)
    print(f"Torch-Pruning prunes {high:.3f} of the channels", flush=True)
    return at(high)


def times(networks: dict[str, nn.Module], ticket: source.Source) -> dict[str, str]:
    """Return, in words, how many times faster than the first one each network is in ONNX Runtime on one thread, by batch."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{i}.onnx" for i, name in enumerate(networks)}
        for name, path in files.items():
            deployed = programs.Deployed(networks[name].eval(), ticket.record.mean, ticket.record.std)
            programs.to_onnx(path, deployed, ticket.shape)
        dense, *_ = networks
        rows = latency.rows({"onnxruntime": {"dense": files[dense]} | files}, ticket.shape, 10, counts=(1,))
    return {name: ", ".join(f"{1 / row['ratio'][name]:.2f}" for row in rows) for name in networks}
