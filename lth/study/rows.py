"""The rows of a study that can be trained: their images, weights and searches."""

from dataclasses import replace

from lth.config import Config
from lth.data import overview
from lth.errors import DataError, UsageError, notice
from lth.models import weights
from lth.study import plan
from lth.study.plan import Size
from lth.training.experiment import ImageExperiment, Say

Rows = dict[str, ImageExperiment]  # by name


def prepare(config: Config, say: Say) -> tuple[Rows, dict[str, str]]:
    """Return the rows that can be trained, and name -> why of those whose weights cannot be had, which is said.

    Raises:
        UsageError: a network or a block does not exist.
        DataError: no row can be trained, or images cannot be used.
    """
    every = {name: plan.row(config, name) for name in plan.names(config.study)}
    left_out: dict[str, str] = {}
    for name, one in every.items():
        _check(name, one)
        try:
            weights.locate(one.model)
        except DataError as error:
            left_out[name] = str(error)
    for why in dict.fromkeys(left_out.values()):
        notice(f"{' and '.join(name for name in left_out if left_out[name] == why)}: left out, since {why}")
    known: dict = {}
    rows = {name: ImageExperiment.of(one, known) for name, one in every.items() if name not in left_out}
    if not rows:
        raise DataError("no network of the study can be trained.")
    overview.tell(next(iter(rows.values())).splits, config.data, say)
    heads = [name for name, row in rows.items() if not plan.has(row.config, "channels")]
    if heads and "channels" in config.study.structures:
        say(f"no channels are pruned in {', '.join(heads)}: a head of one layer has none that could go")
    return rows, left_out


def _check(name: str, one: Config) -> None:
    from lth.models import build

    try:
        build.check(replace(one, model=replace(one.model, weights="none")))
    except UsageError as error:
        raise UsageError(f"study.models={name}: {error}") from error


def searches(config: Config, rows: Rows, size: Size) -> dict[str, ImageExperiment]:
    """Return the searches of a study by their titles, in the order in which they are trained."""
    result = {}
    for name, one in plan.searches(config, list(rows), size):
        what = one.prune.structure if one.prune.rounds else "dense"
        result[f"{name}, {what}, seed {one.seed}"] = replace(rows[name], config=one)
    return result
