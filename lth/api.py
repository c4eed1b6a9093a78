"""``lth.search``: the search with a LightningModule and data of one's own, for any task."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lth.config import Config, Data, Logger, Model, Prune, Trainer, require
from lth.errors import UsageError
from lth.launch import sweep
from lth.pruning import selection
from lth.tracking import loggers
from lth.training import device
from lth.training.experiment import Say, require_folder
from lth.training.own import OwnExperiment
from lth.training.search import rounds
from lth.training.task import Names
from lth.tree.record import Record

OURS = {  # arguments of pl.Trainer that the search sets
    "max_epochs", "max_steps", "max_time", "min_epochs", "min_steps", "callbacks", "logger", "enable_checkpointing", "barebones",
    "reload_dataloaders_every_n_epochs", "inference_mode", "num_sanity_val_steps", "enable_progress_bar", "fast_dev_run",
    "enable_model_summary", "val_check_interval", "check_val_every_n_epoch", "devices", "num_nodes", "strategy",
}  # fmt: skip


def search(
    model: Callable[[], pl.LightningModule],
    data: pl.LightningDataModule,
    *,
    name: str,
    seed: int | Sequence[int] = 0,
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
    launcher: str | dict[str, Any] | None = None,
    say: Say = print,
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
        seed: of initial weights, data order, dropout and controls; several are one search each.
        epochs: of each round.
        outputs: the folder of rounds.
        score: the logged metric that is compared, larger is better (log the negative of an error), such as ``val/acc``; of the
            test part it is ``test/acc``.
        loss: the logged validation loss; early stop is where it is lowest. Training always takes all epochs.
        version, data_version: see above.
        parameters, head: what is pruned, see ``LotteryTicket``.
        trainer: further arguments of ``pl.Trainer``, such as ``{"accelerator": "cpu", "gradient_clip_val": 1.0}``.
        logger: as the key ``logger``.
        launcher: ``local``, ``ray`` or ``slurm``, or a dict of one's options such as ``{"name": "local", "workers": 2}``: all
            rounds are one graph, which it trains. The module and the data are then sent to other processes, so both belong into
            a module that can be imported, and the call below ``if __name__ == "__main__":``.
        say: prints a line.
        prune: keys of ``prune``, with their defaults: rounds (5), rate (0.2; several are one search each), schedule,
            criterion (magnitude, random or a function of (weights, masks)), allocation, rewind (``init``, ``sign`` or epochs
            such as ``2ep``), retrain (rewind or lr), structure (weights, or n:m such as 2:4), begin, end, every (of schedule
            gradual), controls, control_rounds.

    Raises:
        UsageError: an argument is not accepted.
        DataError: a finished round is damaged.
        LthError: with a launcher, a round failed; the other ones are trained.

    Example::

        records = lth.search(model=MyModule, data=MyData(), name="mine", rounds=3, rate=0.2, epochs=5)
        print([(r.density, r.early_stop_test_acc) for r in records])
    """
    criterion = prune["criterion"] if callable(prune.get("criterion")) else None
    function = getattr(criterion, "__qualname__", "") if criterion else None  # by which keys know it
    if criterion and (not function or "<lambda>" in function):
        raise UsageError("criterion is not accepted: it takes a function with a name of its own, by which keys know it.")
    if criterion:
        require(prune.get("schedule") != "gradual", "criterion", function, "magnitude with schedule=gradual")
        prune = prune | {"criterion": "magnitude"}
    options = dict(trainer or {})
    accepted = inspect.signature(pl.Trainer.__init__).parameters.keys() - OURS
    if refused := sorted(options.keys() - accepted):
        raise UsageError(
            f"trainer={{{refused[0]!r}: ...}} is not accepted: it takes arguments of pl.Trainer but those that the search sets."
        )
    accelerator = str(options.pop("accelerator", "auto"))
    accelerator = "gpu" if accelerator in ("cuda", "mps") else accelerator
    resolved = device.resolve(Trainer(accelerator=accelerator, precision=str(options.pop("precision", "32-true"))))
    fixed = (model, data, resolved, Names(loss, score), version, data_version, parameters, head, options, criterion)
    configs = [
        _config(name, one, epochs, outputs, logger, prune | rate)
        for one in _several(seed)
        for rate in ([{"rate": rate} for rate in _several(prune["rate"])] if "rate" in prune else [{}])
    ]
    experiments = [OwnExperiment(config, *fixed) for config in configs]
    if launcher is None:
        found = [rounds(experiment, say) for experiment in experiments]
    else:
        found = _launched(experiments, {"name": launcher} if isinstance(launcher, str) else dict(launcher))
    return list({record.key: record for records in found for record in records}.values())


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]


def _launched(experiments: list[OwnExperiment], options: dict[str, Any]) -> list[list[Record]]:
    for error in sweep.train(experiments, options.pop("name", ""), options):
        raise error
    return sweep.finish(experiments)


def _config(name: str, seed: int, epochs: int, outputs: str | Path, logger: str, prune: dict[str, Any]) -> Config:
    accepted = [f.name for f in fields(Prune) if f.name not in ("head", "scope", "head_rate", "score_images", "ticket")]
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
    holds = not rewind.endswith("it") or rewind == "init"
    require(holds, "rewind", rewind, "init, sign, or epochs such as 2ep, with data of your own")
    require(retrain != "finetune", "retrain", retrain, "rewind or lr with a module of your own")
    return config
