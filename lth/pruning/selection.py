"""What ``LotteryTicket`` prunes of a user's network, and one sentence on what it leaves out or refuses."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lth.errors import UsageError
from lth.pruning import criteria
from lth.pruning import masks as M

Choice = Collection[str] | Callable[[str, nn.Parameter], bool]
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
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


def select(network: nn.Module, parameters: Choice | None = None, head: bool | str = True) -> M.Masks:
    """Return dense masks of the parameters that ``LotteryTicket`` prunes, and warn of what its default leaves out.

    Raises UsageError where an argument is not accepted, a parameter has no shape yet, or nothing is left.
    """
    _require_shapes(network)
    names = M.prunable(network) if parameters is None else _chosen(network, parameters)
    spared = _head(network, names, head)
    params = dict(network.named_parameters())
    masks = M.dense({name: params[name] for name in names if name not in spared})
    if not masks:
        raise UsageError("nothing is prunable: there is no trained Conv or Linear weight, or parameters= and head= leave none.")
    if parameters is None:
        _warn_of_others(network, [*masks, *spared])
        if head is False:
            rank_zero_warn(f"head=False leaves out {spared[0]}, the layer defined last; head='NAME' names the head's module.")
    return masks


def _require_shapes(network: nn.Module) -> None:
    if lazy := [name for name, p in network.named_parameters() if is_lazy(p)]:
        raise UsageError(f"{lazy[0]} has no shape yet, its module is lazy: pass one batch through the network before fit.")


def _chosen(network: nn.Module, parameters: Choice) -> list[str]:
    if callable(parameters):
        return [name for name, p in network.named_parameters() if p.ndim >= 2 and parameters(name, p)]
    matrices = {name: p for name, p in network.named_parameters(remove_duplicate=False) if p.ndim >= 2}  # tied: several names
    if odd := [name for name in parameters if name not in matrices]:
        accepted = f"names of parameters of two or more dimensions, {some(matrices, 8)}"
        raise UsageError(f"parameters={odd[0]} is not accepted: it takes {accepted}.")
    wanted = {id(matrices[name]) for name in parameters}
    return [name for name, p in network.named_parameters() if id(p) in wanted]


def _head(network: nn.Module, names: list[str], head: bool | str) -> list[str]:
    """Return the names of the parameters that ``head`` leaves out; with ``False`` the last of ``names``."""
    if isinstance(head, bool):
        return [] if head else names[-1:]
    try:
        inside = {id(p) for p in network.get_submodule(head).parameters()}
    except AttributeError:
        children = [name for name, _ in network.named_children()]
        raise UsageError(f"head={head} is not accepted: it takes the name of a submodule, such as {some(children, 8)}.") from None
    return [name for name, p in network.named_parameters() if id(p) in inside]


def _warn_of_others(network: nn.Module, names: Collection[str]) -> None:
    """Name the large or frozen weights that are not pruned by default."""
    params = dict(network.named_parameters())
    ignored = {id(p) for m in network.modules() if isinstance(m, (nn.Embedding, *NORMS)) for p in m.parameters(recurse=False)}
    frozen = [name for name in M.prunable(network, scope="all") if not params[name].requires_grad]
    large = LARGE * sum(p.numel() for p in params.values())
    names = {*names, *frozen}
    other = [n for n, p in params.items() if p.ndim >= 2 and p.numel() > large and id(p) not in ignored and n not in names]
    parts = [f"{some(other)}, which are no Conv or Linear weights"] if other else []
    parts += [f"{some(frozen)}, which are frozen now"] if frozen else []
    if parts:
        rank_zero_warn(f"LotteryTicket does not prune {'; nor '.join(parts)}. parameters= names what is pruned.")


def with_gradient(masks: M.Masks, without: Collection[str]) -> M.Masks:
    """Return the masks of the weights that had a gradient in round 0; warn of the others, raise UsageError where it is all."""
    if len(without) == len(masks):
        raise UsageError("no prunable weight got a gradient in round 0: only the optimisers of configure_optimizers are seen.")
    why = "without a gradient in round 0 they are a copy that the module keeps, or not used. parameters= names what is pruned."
    rank_zero_warn(f"LotteryTicket does not prune {some(without)}: {why}")
    return {name: mask for name, mask in masks.items() if name not in without}


def require_ticket(network: nn.Module, masks: M.Masks, init: Mapping[str, Tensor]) -> None:
    """Raise UsageError naming the first of ``masks`` and ``init`` that is not of this network."""
    _require_shapes(network)
    params, state = dict(network.named_parameters()), tensors(network.state_dict())
    for what, values, accepted in (("masks", masks, params), ("init", init, state)):
        for name, tensor in values.items():
            if name not in accepted:
                raise UsageError(f"{what} has {name}, which the network does not have; it takes names of {some(accepted)}.")
            if tensor.shape != accepted[name].shape:
                raise UsageError(f"{what} has {name} of shape {tuple(tensor.shape)}; it takes {tuple(accepted[name].shape)}.")
    if odd := [name for name, mask in masks.items() if str(mask.dtype) != "torch.bool"]:
        raise UsageError(f"masks has {odd[0]} of {masks[odd[0]].dtype}; it takes bool tensors, True where a weight is kept.")


def some(names: Iterable[str], count: int = 5) -> str:
    """Return the first ``count`` names, and how many others there are."""
    names = list(names)
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} others" if more > 0 else "")
