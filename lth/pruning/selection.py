"""Which parameters of a user's network ``LotteryTicket`` prunes, and one sentence on what it leaves out or refuses."""

from collections.abc import Callable, Collection, Mapping

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lth.errors import UsageError
from lth.pruning import masks as M
from lth.pruning import state

Choice = Collection[str] | Callable[[str, nn.Parameter], bool]
LARGE = 0.01  # of the network's parameters: what is named when it is left out
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def select(network: nn.Module, parameters: Choice | None = None, head: bool | str = True) -> list[str]:
    """Names of the parameters that are pruned, in parameter order.

    Args:
        parameters: names, or a function of (name, parameter) that is asked for each parameter of two or more dimensions;
            ``None``: the weights of Conv and Linear layers that are trained now.
        head: ``True``: the head is pruned too; a submodule's name: that one is left out, with all layers in it; ``False``:
            the layer that is defined last is left out.

    Raises:
        UsageError: there is no such parameter or submodule, a parameter is a vector, or nothing is left.
    """
    _require_initialised(network)
    names = M.prunable(network) if parameters is None else _chosen(network, parameters)
    names = [name for name in names if name not in spared(network, names, head)]
    if not names:
        raise UsageError(
            "nothing is prunable: the network has no trained Conv or Linear weight, or parameters= and head= leave none."
        )
    return names


def _require_initialised(network: nn.Module) -> None:
    lazy = [name for name, p in network.named_parameters() if is_lazy(p)]
    if lazy:
        raise UsageError(f"{lazy[0]} has no shape yet, its module is lazy: pass one batch through the network before fit.")


def _chosen(network: nn.Module, parameters: Choice) -> list[str]:
    if callable(parameters):
        return [name for name, p in network.named_parameters() if p.ndim >= 2 and parameters(name, p)]
    aliases = dict(network.named_parameters(remove_duplicate=False))  # a tied weight has several names
    for name in parameters:
        if name not in aliases:
            matrices = [other for other, p in aliases.items() if p.ndim >= 2]
            raise UsageError(f"parameters={name} is not accepted: it takes names of {some(matrices, 8)}.")
        if aliases[name].ndim < 2:
            raise UsageError(f"parameters={name} is not accepted: it is a vector; it takes parameters of two or more dimensions.")
    wanted = {id(aliases[name]) for name in parameters}
    return [name for name, p in network.named_parameters() if id(p) in wanted]


def spared(network: nn.Module, names: Collection[str], head: bool | str) -> set[str]:
    """Names of the parameters that ``head`` leaves out; ``names``: those among which the last one is the head."""
    if head is True:
        return set()
    if head is False:
        return set(list(names)[-1:])
    try:
        inside = {id(p) for p in network.get_submodule(head).parameters()}
    except AttributeError:
        children = [name for name, _ in network.named_children()]
        raise UsageError(f"head={head} is not accepted: it takes the name of a submodule, such as {some(children, 8)}.") from None
    return {name for name, p in network.named_parameters() if id(p) in inside}


def left_out(network: nn.Module, names: Collection[str], head: bool | str) -> str:
    """One warning that names the large or frozen weights that are not pruned by default; empty where there is none."""
    params = dict(network.named_parameters())
    ignored = {id(p) for m in network.modules() if isinstance(m, (nn.Embedding, *NORMS)) for p in m.parameters(recurse=False)}
    ignored |= {id(params[name]) for name in spared(network, M.prunable(network), head)}
    frozen = [name for name in M.prunable(network, scope="all") if not params[name].requires_grad]
    total = sum(p.numel() for p in params.values())
    other = [
        name for name, p in params.items()
        if p.ndim >= 2 and p.numel() > LARGE * total and name not in {*names, *frozen} and id(p) not in ignored
    ]  # fmt: skip
    parts = [f"{some(other)}, which are no Conv or Linear weights"] if other else []
    parts += [f"{some(frozen)}, which are frozen now"] if frozen else []
    sentence = f"LotteryTicket does not prune {'; nor '.join(parts)}. parameters= names what is pruned." if parts else ""
    if head is False:
        last = "".join(spared(network, M.prunable(network), head))
        sentence += f" head=False leaves out {last}, the layer defined last; head='NAME' names the head's module."
    return sentence.strip()


def require_ticket(network: nn.Module, masks: M.Masks, init: Mapping[str, Tensor]) -> None:
    """Raise UsageError naming the first of ``masks`` and ``init`` that is not of this network."""
    _require_initialised(network)
    params, tensors = dict(network.named_parameters()), state.tensors(network.state_dict())
    for what, given, there in (("masks", masks, params), ("init", init, tensors)):
        for name, tensor in given.items():
            if name not in there:
                raise UsageError(f"{what} has {name}, which the network does not have; it takes names of {some(list(there))}.")
            if tensor.shape != there[name].shape:
                raise UsageError(f"{what} has {name} of shape {tuple(tensor.shape)}; it takes {tuple(there[name].shape)}.")
    if odd := [name for name, mask in masks.items() if str(mask.dtype) != "torch.bool"]:
        raise UsageError(f"masks has {odd[0]} of {masks[odd[0]].dtype}; it takes bool tensors, True where a weight is kept.")


def some(names: list[str], count: int = 5) -> str:
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} others" if more > 0 else "")
