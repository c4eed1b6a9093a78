"""``lth.search``: the search with a LightningModule and data of one's own, for any task."""

import inspect
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from typing_extensions import override

from lth.config import Config, Data, Logger, Model, Prune, Trainer, require
from lth.errors import UsageError, notice_once
from lth.hashes import of_json, of_tensors
from lth.pruning import criteria, selection
from lth.pruning import masks as M
from lth.seeds import stream
from lth.tracking import loggers
from lth.training import device
from lth.training.search import require_folder, rounds
from lth.training.start import require_weights
from lth.training.task import Names, State, Task
from lth.training.turns import Turns
from lth.tree.checkpoint import Checkpoint
from lth.tree.record import Record
from lth.tree.spec import controls, own_chain
from lth.tree.store import Store

OURS = {  # arguments of pl.Trainer that the search sets
    "max_epochs", "max_steps", "max_time", "min_epochs", "min_steps", "callbacks", "logger", "enable_checkpointing", "barebones",
    "reload_dataloaders_every_n_epochs", "inference_mode", "num_sanity_val_steps", "enable_progress_bar", "fast_dev_run",
    "enable_model_summary", "val_check_interval", "check_val_every_n_epoch", "devices", "num_nodes", "strategy",
}  # fmt: skip
NO_EFFECT = {"accelerator", "profiler", "log_every_n_steps", "default_root_dir", "plugins", "benchmark"}  # on a round's result


class OwnTask(Task):
    """A LightningModule and a LightningDataModule of one's own.

    Args:
        make: returns the LightningModule; it is called after seeding, once for each round.
        data: batches for training and validation, and for the test where it has any.
        parameters, head: see ``LotteryTicket``.
        options: further arguments of ``pl.Trainer``.
        criterion: a function in place of the criterion that ``config`` names.
    """

    def __init__(
        self, config: Config, make: Callable[[], pl.LightningModule], data: pl.LightningDataModule, resolved: device.Device,
        names: Names, parameters: selection.Choice | None, head: bool | str, options: dict[str, Any],
        criterion: criteria.Function | None,
    ) -> None:  # fmt: skip
        self.make, self.data, self.options, self.criterion = make, data, options, criterion
        torch.manual_seed(stream("initialisation", config.seed))
        super().__init__(config, self.build(), "", resolved, names)
        self.names_of_prunable = list(selection.select(self.network, parameters, head))
        self.tests = (
            is_overridden("test_step", self.network) and type(data).test_dataloader is not pl.LightningDataModule.test_dataloader
        )
        if not self.tests:
            notice_once(f"there is no test part: columns of the test hold {names.score}, which also selected early stop.")

    @override
    def build(self) -> pl.LightningModule:
        module = self.make()
        if not isinstance(module, pl.LightningModule):
            raise UsageError(f"model returned {type(module).__name__}; it takes a function that returns a LightningModule.")
        return module

    @override
    def modules(
        self, seed: int, checkpoint: Checkpoint, epochs: int, constant_rate: bool
    ) -> tuple[pl.LightningModule, pl.LightningDataModule, float | None]:
        return self.network, self.data, None

    @override
    def rewind_(self, weights: State, masks: M.Masks) -> None:
        torch.manual_seed(0)
        self.network = self.build()  # a fresh module: what it holds besides its state_dict is that of a new one
        super().rewind_(weights, masks)

    @override
    def prunable(self, *, dense: bool = False) -> list[str]:
        return self.names_of_prunable

    @override
    def facts(self, masks: M.Masks) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.network.parameters())
        pruned = M.size(masks) - M.kept(masks)
        return {
            "data": type(self.data).__name__,
            "parameters": parameters,
            "model_density": (parameters - pruned) / parameters,
        }

    def identity(self, version: str, data_version: str) -> dict[str, Any]:
        """Return what identifies the module, its data and its training in keys; code is covered by ``version`` alone."""
        own = {
            "name": self.config.model.name,
            "version": version,
            "data": {"name": type(self.data).__name__, "version": data_version, "hparams": _plain(self.data.hparams)},
            "hparams": _plain(self.network.hparams),
            "shapes": of_json({name: list(t.shape) for name, t in self.initial.items()})[:16],
            "prunable": of_json(self.names_of_prunable)[:16],
            "metrics": [self.names.loss, self.names.score],
            "trainer": _plain({name: value for name, value in self.options.items() if name not in NO_EFFECT}),
        }
        return own | ({"precision": self.device.precision} if self.device.precision != "32-true" else {})


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; what it cannot hold, as the name of its type or function."""

    def other(value: Any) -> Any:
        return dict(value.items()) if hasattr(value, "items") else getattr(value, "__qualname__", type(value).__qualname__)

    return json.loads(json.dumps(value, default=other))


def search(
    model: Callable[[], pl.LightningModule],
    data: pl.LightningDataModule,
    *,
    name: str,
    seed: int = 0,
    epochs: int = 30,
    outputs: str | Path = "outputs",
    score: str = "val/acc",
    loss: str = "val/loss",
    version: str = "",
    data_version: str = "",
    parameters: selection.Choice | None = None,
    head: bool | str = True,
    trainer: dict[str, Any] | None = None,
    logger: str = "tensorboard",
    say: Callable[[str], None] = print,
    **prune: Any,
) -> list[Record]:
    """Search for a winning ticket of your own LightningModule; return the records, dense network first, controls last.

    The module brings its own loss, optimiser and metrics, and may be for any task: it logs a validation loss and one score.
    Rounds are resumed, shared between searches, checked, judged, verified and reported as those of ``python -m lth.run``.

    The key of a round hashes the name, the initial weights (by the seed), shapes, hyper-parameters (``save_hyperparameters``),
    the Trainer's arguments and the versions. It cannot see code or data: change ``version`` when the module's code changes what
    it computes, and ``data_version`` when the data change.

    Args:
        model: returns the LightningModule; it is called after seeding, for the initial weights, and again for each training.
        data: a LightningDataModule; each epoch seeds torch, numpy and Python before it iterates.
        name: of the experiment, for folders and tables.
        seed: of initial weights, data order, dropout and controls.
        epochs: of each round.
        outputs: the folder of rounds.
        score: the logged metric that is compared, larger is better (log the negative of an error), such as ``val/acc``; of the
            test part it is ``test/acc``.
        loss: the logged validation loss; early stop is where it is lowest. Training always takes all epochs.
        version, data_version: see above.
        parameters, head: what is pruned, see ``LotteryTicket``.
        trainer: further arguments of ``pl.Trainer``, such as ``{"accelerator": "cpu", "gradient_clip_val": 1.0}``.
        logger: as the key ``logger``.
        say: prints a line.
        prune: keys of ``prune``, with their defaults: rounds (5), rate (0.2), schedule,
            criterion (magnitude, random or a function of (weights, masks)),
            allocation, rewind (``init`` or epochs such as ``2ep``), retrain (rewind or lr), structure (weights, or n:m such
            as 2:4), controls, control_rounds.

    Raises:
        UsageError: an argument is not accepted.
        DataError: a finished round is damaged.

    Example::

        records = lth.search(model=MyModule, data=MyData(), name="mine", rounds=3, rate=0.2, epochs=5)
        print([(r.density, r.early_stop_test_acc) for r in records])
    """
    criterion = prune["criterion"] if callable(prune.get("criterion")) else None
    function = getattr(criterion, "__qualname__", "") if criterion else None  # by which keys know it
    if criterion and (not function or "<lambda>" in function):
        raise UsageError("criterion is not accepted: it takes a function with a name of its own, by which keys know it.")
    config = _config(name, seed, epochs, outputs, logger, prune | ({"criterion": "magnitude"} if criterion else {}))
    options = dict(trainer or {})
    accepted = inspect.signature(pl.Trainer.__init__).parameters.keys() - OURS
    if refused := sorted(options.keys() - accepted):
        raise UsageError(
            f"trainer={{{refused[0]!r}: ...}} is not accepted: it takes arguments of pl.Trainer but those that the search sets."
        )
    accelerator = str(options.pop("accelerator", "auto"))
    accelerator = "gpu" if accelerator in ("cuda", "mps") else accelerator
    resolved = device.resolve(Trainer(accelerator=accelerator, precision=str(options.pop("precision", "32-true"))))
    device.prepare(bool(options.get("deterministic")))
    task = OwnTask(config, model, data, resolved, Names(loss, score), parameters, head, options, criterion)
    require_weights(task)
    specs = own_chain(config, task.identity(version, data_version), of_tensors(task.initial)[:16], function)
    turns = Turns(Store(Path(outputs)), specs, controls(config.prune, specs), logger, say)
    return rounds(turns, lambda: task)


def _config(name: str, seed: int, epochs: int, outputs: str | Path, logger: str, prune: dict[str, Any]) -> Config:
    accepted = [f.name for f in fields(Prune) if f.name not in ("head", "scope", "head_rate", "score_images")]
    if unknown := sorted(set(prune) - set(accepted)):
        raise UsageError(f"{unknown[0]} is no argument of lth.search; it takes {', '.join(accepted)} beside its own.")
    require(bool(name) and not set(name) & set("/\\"), "name", name, "a name without slashes")
    loggers.require(logger)
    require_folder("outputs", str(outputs))
    config = Config(
        seed=seed, epochs=epochs, outputs=str(outputs), data=Data(name="folder"), model=Model(name=name),
        prune=Prune(**prune), logger=Logger(name=logger),
    )  # fmt: skip
    criterion, rewind, retrain = config.prune.criterion, config.prune.rewind, config.prune.retrain
    require(criterion in ("magnitude", "random"), "criterion", criterion, "magnitude, random or a function")
    require(not rewind.endswith("it") or rewind == "init", "rewind", rewind, "init, or epochs such as 2ep, with data of your own")
    require(retrain != "finetune", "retrain", retrain, "rewind or lr with a module of your own")
    return config
