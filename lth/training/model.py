"""The trained network of a round's folder, ready to be used."""

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from lth.config import Config
from lth.errors import DataError
from lth.models.build import build
from lth.tree import files, record


def load_model(folder: str | Path) -> nn.Module:
    """The trained network of a round's folder, or of a copy of it: images float32 (n, channels, h, w) -> logits (n, classes).

    A plain ``nn.Module`` on the CPU in eval mode, pruned weights 0, with ``classes`` (names in the order of the logits),
    ``image_size`` (pixels), and ``mean`` and ``std`` (one number a channel), by which images in [0, 1] are to be normalised.

    Raises:
        DataError: the folder is no finished round's, or a file is not what was written.
    """
    folder = Path(folder)
    if not (folder / "round.json").is_file():
        raise DataError(f"{folder} holds no round.json; name the folder of a finished round.")
    record.require_intact(record.load(folder))
    weights, about = files.read_tensors(folder / "final.safetensors")
    config = read_config(folder / "config.yaml")
    config.finetune = "all"  # nothing is frozen in the network that is handed out
    net = build(config, len(about["classes"])).net
    net.load_state_dict(weights)
    for name in ("classes", "image_size", "mean", "std"):
        setattr(net, name, about[name])
    return net.eval()


def read_config(path: Path) -> Config:
    """The configuration in a round's config.yaml. Raises DataError where it is none of this version's."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise DataError(f"{path} is no configuration of this lth ({str(error).splitlines()[0]}).") from error
