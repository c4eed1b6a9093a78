"""The trained network of a round's folder, ready to be used."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from lth.config import Config
from lth.errors import DataError
from lth.models.build import build
from lth.tree import record
from lth.tree.ticket import load_final


def load_model(folder: str | Path, model: Callable[[], nn.Module] | None = None) -> nn.Module:
    """Return the trained network of a round's folder, or of a copy of it, on the CPU, in eval mode, pruned weights 0.

    A plain ``nn.Module``: images float32 (n, channels, h, w) -> logits (n, classes), with ``classes`` (names in the order of the
    logits), ``image_size`` (pixels), and ``mean`` and ``std`` (one number a channel), by which images in [0, 1] are to be
    normalised.

    Args:
        folder: of the round.
        model: for a round of ``lth.search``, the function that was given to it; returned is its module with the trained weights.

    Raises:
        DataError: the folder is no finished round's, or a file is not what was written.
    """
    folder = Path(folder)
    if not (folder / "round.json").is_file():
        raise DataError(f"{folder} holds no round.json; name the folder of a finished round.")
    facts = record.load(folder)
    record.require_intact(facts)
    weights, about = load_final(folder)
    if facts.classes is None and model is None:
        raise DataError(
            f"{folder} is a round of your own module {facts.model}: load_model(folder, model=...) takes what returns it."
        )
    if model is not None:
        net = model()
        net.load_state_dict(net.state_dict() | weights)
        return net.cpu().eval()
    config = read_config(folder / "config.yaml")
    config.finetune = "all"  # nothing is frozen in the network that is handed out
    net = build(config, len(about["classes"])).net
    net.load_state_dict(weights)
    for name in ("classes", "image_size", "mean", "std"):
        setattr(net, name, about[name])
    return net.cpu().eval()


def read_config(path: Path) -> Config:
    """Return the configuration in a round's config.yaml. Raises DataError where it is none of this version's."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise DataError(f"{path} is no configuration of this lth ({str(error).splitlines()[0]}).") from error
