"""What a round.json says besides scores and proofs."""

import platform
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from lth.config import Config
from lth.data.augment import normalization
from lth.pruning import masks as M
from lth.training.device import Device
from lth.tree.spec import Spec
from lth.tree.ticket import Ticket


def readable(config: Config, spec: Spec, ticket: Ticket) -> str:
    """What stands before the key in a folder's name; for people only."""
    control = f"-{spec.control}" if spec.control else ""
    return f"{config.model.name}-{config.data.name}-seed{config.seed}-round{spec.index:02d}-kept{ticket.density:.4f}{control}"


def sealed(test: str = "") -> list[str]:
    """The files of a round whose hashes its round.json holds.

    Args:
        test: name of the list of test images that it has predictions for; '' for none.
    """
    predictions = ["predictions.npy"] if test else []
    return ["config.yaml", "final.safetensors", "metrics.csv", "start.safetensors", "ticket.safetensors", *predictions]


def resolved(config: Config, spec: Spec) -> bytes:
    """The whole configuration that a round is trained by, as YAML; a compute-matched dense network has epochs of its own."""
    return OmegaConf.to_yaml(OmegaConf.structured(replace(config, epochs=spec.epochs))).encode()


def facts(config: Config, spec: Spec, ticket: Ticket) -> dict[str, Any]:
    """Which round it is: key, parent, recipe, counts."""
    prune, pruned = config.prune, spec.index > 0
    return {
        "key": spec.key,
        "parent": spec.parent.key if spec.parent else None,
        "round": spec.index,
        "control": spec.control,
        "name": f"{readable(config, spec, ticket)}-{spec.key}",
        "model": config.model.name,
        "finetune": spec.finetune,
        "pretrained": "weights" in spec.root.content,
        "data": config.data.name,
        "seed": config.seed,
        "epochs": spec.epochs,
        "rate": prune.rate if pruned else None,
        "levels": spec.levels,
        "criterion": prune.criterion if pruned else None,
        "allocation": prune.allocation if pruned else None,
        "rewind": prune.rewind if pruned else None,
        "retrain": prune.retrain if pruned else None,
        "kept": M.kept(ticket.masks),
        "prunable": M.size(ticket.masks),
        "density": ticket.density,
        "recipe": spec.recipe,
        "family": spec.family,
        "step": spec.step,
        "settings": spec.settings,
        "determined_by": spec.content,
    }


def portrait(config: Config, classes: list[str], normalize: str) -> dict[str, Any]:
    """What is kept with the weights, so that they can be used: architecture, classes, size, each channel's normalisation."""
    mean, std = normalization(normalize, config.data.channels)
    name, size = config.model.name, config.data.image_size
    return {"format": "lth-final-1", "model": name, "classes": classes, "image_size": size, "mean": mean, "std": std}


def machine(device: Device) -> dict[str, Any]:
    """What computed it, by which command, and when."""
    return {
        "accelerator": device.accelerator,
        "precision": device.precision,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "pytorch_lightning": pl.__version__},
        "command": shlex.join(sys.argv[1:]),
        "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
