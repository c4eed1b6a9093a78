"""What ``LotteryTicket`` prunes of a user's network, and one sentence on what it leaves out or refuses."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lth.errors import UsageError
from lth.pruning import criteria
from lth.pruning import masks as M

Choice = Collection[str] | Callable[[str, nn.Parameter], bool]
LARGE = 0.01  # of the network's parameters: a larger weight is named when it is left out


def require_arguments(rate: float | None, criterion: Any, rewind: str, parameters: Any, masks: Any, init: Any) -> None:
    """Raise UsageError where ``LotteryTicket`` does not accept its arguments."""
    if rate is not None and not 0 < rate < 1:
        raise UsageError(f"rate={rate} is not accepted: it takes a fraction above 0 and below 1, or None.")
    if (masks is None) != (init is None):
        raise UsageError("masks and init go together: a ticket is masks and the weights it starts from.")
    if masks is not None and (parameters is not None or rewind != "init"):
        raise UsageError("masks and init are a complete ticket; they go with neither parameters nor rewind.")
    if not re.fullmatch(r"init|[1-9][0-9]*(it|ep)", rewind):
        raise UsageError(f"rewind={rewind} is not accepted: it takes init, steps such as 500it, or epochs such as 2ep.")
    criteria.lookup(criterion, ("weights", "seed"))


def tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state_dict; what else a module's ``get_extra_state`` puts in it is never rewound."""
    return {name: t for name, t in state.items() if isinstance(t, Tensor)}


def saved(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the network's weights and buffers, on the CPU."""
    return {name: t.detach().cpu().clone() for name, t in tensors(network.state_dict()).items()}


def submodule(module: nn.Module, name: str, argument: str) -> nn.Module:
    """Return the submodule that an argument names. Raises UsageError where there is none."""
    try:
        return module.get_submodule(name)
    except AttributeError:
        accepted = f"the name of a submodule, such as {some(child for child, _ in module.named_children())}"
        raise UsageError(f"{argument}={name} is not accepted: it takes {accepted}.") from None


def select(network: nn.Module, parameters: Choice | None = None, head: bool | str = True) -> M.Masks:
    """Return dense masks of the parameters that ``LotteryTicket`` prunes, and warn of what its default leaves out.

    Raises UsageError where an argument is not accepted, a parameter has no shape yet, or nothing is left.
    """
    params = dict(network.named_parameters())
    if lazy := [name for name, p in params.items() if is_lazy(p)]:
        raise UsageError(f"{lazy[0]} has no shape yet, its module is lazy: pass one batch through the network before fit.")
    names = M.prunable(network) if parameters is None else _chosen(network, parameters)
    if isinstance(head, str):
        inside = {id(p) for p in submodule(network, head, "head").parameters()}
        spared = [name for name, p in params.items() if id(p) in inside]
    else:
        spared = [] if head else names[-1:]
    masks = M.dense({name: params[name] for name in names if name not in spared})
    if not masks:
        layers = "Conv, Linear or attention"
        raise UsageError(f"nothing is prunable: there is no trained {layers} weight, or parameters= and head= leave none.")
    if parameters is None:
        _warn_of_others(network, [*masks, *spared])
        if head is False:
            rank_zero_warn(f"head=False leaves out {spared[0]}, the layer defined last; head='NAME' names the head's module.")
    return masks


def _chosen(network: nn.Module, parameters: Choice) -> list[str]:
    if callable(parameters):
        return [name for name, p in network.named_parameters() if p.ndim >= 2 and parameters(name, p)]
    matrices = {name: p for name, p in network.named_parameters(remove_duplicate=False) if p.ndim >= 2}  # tied: several names
    if odd := [name for name in parameters if name not in matrices]:
        accepted = f"names of parameters of two or more dimensions, {some(matrices)}"
        raise UsageError(f"parameters={odd[0]} is not accepted: it takes {accepted}.")
    wanted = {id(matrices[name]) for name in parameters}
    return [name for name, p in network.named_parameters() if id(p) in wanted]


def _warn_of_others(network: nn.Module, names: Collection[str]) -> None:
    """Name the large weights, and the frozen ones of Conv, Linear and attention layers, that are not pruned by default."""
    params, layers = dict(network.named_parameters()), M.prunable(network, scope="all")
    large = LARGE * sum(p.numel() for p in params.values())
    others = [n for n, p in params.items() if n not in names and (n in layers or (p.ndim >= 2 and p.numel() > large))]
    if others:
        what = f"{some(others)}, which are no trained Conv, Linear or attention weights"
        rank_zero_warn(f"LotteryTicket does not prune {what}. parameters= names what is pruned.")


def with_gradient(masks: M.Masks, without: Collection[str]) -> M.Masks:
    """Return the masks of the weights that had a gradient in round 0; warn of the others, raise UsageError where it is all."""
    if len(without) == len(masks):
        raise UsageError("no prunable weight got a gradient in round 0: only the optimisers of configure_optimizers are seen.")
    why = "without a gradient in round 0 they are a copy that the module keeps, or not used. parameters= names what is pruned."
    rank_zero_warn(f"LotteryTicket does not prune {some(without)}: {why}")
    return {name: mask for name, mask in masks.items() if name not in without}


def require_ticket(network: nn.Module, masks: M.Masks, init: Mapping[str, Tensor]) -> None:
    """Raise UsageError naming the first of ``masks`` and ``init`` that is not of this network."""
    params, state = dict(network.named_parameters()), tensors(network.state_dict())
    for what, values, accepted in (("masks", masks, params), ("init", init, state)):
        for name, tensor in values.items():
            if name not in accepted:
                raise UsageError(f"{what} has {name}, which the network does not have; it takes names of {some(accepted)}.")
            if tensor.shape != accepted[name].shape:
                raise UsageError(f"{what} has {name} of shape {tuple(tensor.shape)}; it takes {tuple(accepted[name].shape)}.")
            if what == "masks" and tensor.dtype != torch.bool:
                raise UsageError(f"masks has {name} of {tensor.dtype}; it takes bool tensors, True where a weight is kept.")


def some(names: Iterable[str]) -> str:
    """Return the first five names, and how many others there are."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")
