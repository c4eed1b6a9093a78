"""Trains a channel ticket without its pruned channels: the same round on a network that is smaller and dense.

What training starts from is taken out of the full tensors, and what it ends with is put back among zeros, so that all files
are those of a masked round. Only the checkpoint of an interrupted round has the small shapes.
"""

from dataclasses import replace
from typing import Any

from lth.pruning import channels, slicing
from lth.pruning import masks as M
from lth.training.fit import Result, fit
from lth.training.start import Start
from lth.training.task import State, Task, tensors
from lth.tree.ticket import Ticket


def fit_small(task: Task, start: Start, *args: Any) -> Result:
    """Do what ``fit`` does, without the pruned channels of a channel ticket; the task's network gets the final weights.

    Biases and BatchNorm values of pruned channels stay what they were: nothing reads them. While it trains there is no pruned
    weight that could move; that they are zeros is checked in the final weights.
    """
    ticket = start.ticket
    keep = channels.kept(ticket.groups, ticket.masks)
    places = slicing.places(task.network, ticket.groups, keep)
    small = task.without(ticket.groups, keep)
    result = fit(small, _taken(start, places), *args)
    M.rewind_(task.network, put(tensors(small.network), ticket.start, places), ticket.masks)
    ranks = result.observed["ranks"] | {"masks": M.hash_masks(ticket.masks)}
    return replace(result, masks=ticket.masks, observed=result.observed | {"ranks": ranks})


def _taken(start: Start, places: State) -> Start:
    ticket, begin = start.ticket, start.checkpoint
    small = Ticket(take(ticket.masks, places), take(ticket.rewind, places))
    names = {key: key.rpartition("/")[0] for key in begin.moments}
    wide = {key: t for key, t in begin.moments.items() if t.shape == ticket.rewind[names[key]].shape}  # others count steps
    moments = begin.moments | take(wide, {key: places[names[key]] for key in wide})
    return replace(start, ticket=small, checkpoint=replace(begin, state=take(begin.state, places), moments=moments))


def take(state: State, places: State) -> State:
    """Return the values of a state_dict that ``slicing.places`` names."""
    return {name: tensor.flatten()[places[name]] for name, tensor in state.items()}


def put(small: State, full: State, places: State) -> State:
    """Return ``full`` with the values of ``small`` in their places."""
    values = {name: tensor.detach().cpu().flatten() for name, tensor in small.items()}
    return {name: t.flatten().index_copy(0, places[name].flatten(), values[name]).view(t.shape) for name, t in full.items()}
