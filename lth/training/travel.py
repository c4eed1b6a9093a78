"""Masks of another round's ticket on the network that is trained here (Morcos et al. 2019, arXiv 1906.02773)."""

from pathlib import Path

from lth.errors import UsageError, notice_once
from lth.pruning import masks as M
from lth.pruning.selection import some
from lth.training.task import Task
from lth.tree import ticket as tickets


def fitted(task: Task) -> tuple[M.Masks, M.Masks]:
    """Return masks of all prunable weights, and those masks of ``prune.ticket`` that fit; the other weights stay dense.

    A mask fits where a prunable weight has its name and shape. What does not fit is named in one line.

    Raises:
        UsageError: no mask fits.
        DataError: the file of the masks is damaged.
    """
    found, params = tickets.load_masks(Path(task.config.prune.ticket)), dict(task.network.named_parameters())
    own = M.dense({name: params[name] for name in task.prunable()})
    fitting = {name: mask for name, mask in found.items() if name in own and own[name].shape == mask.shape}
    if not fitting:
        raise UsageError(
            f"prune.ticket={task.config.prune.ticket} is not accepted: none of its layers ({some(found)}) is pruned here with "
            f"the same shape; here are {some(f'{name} {tuple(mask.shape)}' for name, mask in own.items())}."
        )
    if odd := [name for name in params if name in own.keys() | found.keys() and name not in fitting]:
        notice_once(f"prune.ticket leaves {some(odd)} dense: of another shape, not in its scope, or not pruned here.")
    return own | fitting, {name: fitting[name] for name in own if name in fitting}
