"""Cut a network in two where training begins: a constant prefix, to be computed once, and the suffix that trains.

The cut is made in the graph of the network's forward, traced by torch.fx, so stock networks stay stock.
"""

import operator

import torch
from torch import Tensor, fx, nn

from lth import hashes
from lth.models.blocks import evaluating

DRAWS = ("dropout", "stochastic", "rand", "bernoulli")  # parts of the names of functions with random results


class Cut(nn.Module):
    """``suffix(prefix(images))`` is ``net(images)``, by the very same modules; ``name`` is the last operation of the prefix.

    A module, so that ``to`` also moves tensors of the graphs: buffers that a forward reads by name do not follow the network's.
    """

    def __init__(self, net: nn.Module, name: str, prefix: nn.Module, train_suffix: nn.Module, eval_suffix: nn.Module) -> None:
        super().__init__()
        self.net, self.name = net, name
        self.prefix, self.train_suffix, self.eval_suffix = prefix, train_suffix, eval_suffix

    def suffix(self, features: Tensor) -> Tensor:
        return self.train_suffix(features) if self.net.training else self.eval_suffix(features)


class Tracer(fx.Tracer):
    """Traces containers and blocks, and takes as one operation each layer of torch and each module without children."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return not any(True for _ in module.children()) or super().is_leaf_module(module, qualified_name)


def cut(net: nn.Module) -> Cut | None:
    """Cut ``net``, in training mode with its frozen blocks in eval mode, after the last operation whose result is constant.

    Return None where nothing in front of the first trained layer is frozen, or the forward cannot be traced.
    """
    state = torch.get_rng_state()
    try:
        # Functional dropout and the like read ``training`` while they are traced, so each mode has a graph of its own.
        training = _trace(net)
        with evaluating(net):
            evaluation = _trace(net)
    except Exception:  # nothing is cut where fx cannot follow a forward
        return None
    drawn = not torch.equal(state, torch.get_rng_state())  # a draw became a constant of the graph
    if drawn or (last := _last_constant(training)) is None:
        return None
    prefix, eval_suffix = _split(evaluation, last)
    _, train_suffix = _split(training, last)
    return Cut(net, last, prefix, train_suffix, eval_suffix)


def hash_prefix(prefix: fx.GraphModule) -> str:
    """Return a hash of what the prefix computes: its operations, and the weights and buffers that they read. 16 digits."""
    return hashes.of_json([prefix.code, hashes.of_tensors(prefix.state_dict())])[:16]


def _trace(net: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(net, Tracer().trace(net))


def _last_constant(traced: fx.GraphModule) -> str | None:
    """Return the name of the last node up to which nothing trains or is drawn, and whose value alone is used after it."""
    nodes = list(traced.graph.nodes)
    position = {node: i for i, node in enumerate(nodes)}
    last, frozen, needed = None, False, 0  # needed: the position up to which earlier values are used
    for i, node in enumerate(nodes):
        if _changes(traced, node):
            break
        frozen |= node.op == "call_module" and any(True for _ in traced.get_submodule(node.target).parameters())
        if frozen and needed <= i:
            last = node.name
        needed = max([needed, *(position[user] for user in node.users)])
    return last


def _changes(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether the value depends on a parameter or buffer that training changes, or on a random draw."""
    if node.op == "get_attr":
        tensor = operator.attrgetter(str(node.target))(traced)
        return isinstance(tensor, nn.Parameter) and tensor.requires_grad
    if node.op != "call_module":
        return node.op == "output" or any(word in str(node.target) for word in DRAWS)
    module = traced.get_submodule(node.target)
    return any(p.requires_grad for p in module.parameters()) or (module.training and not _constant_in_training(module))


def _constant_in_training(module: nn.Module) -> bool:
    """Return False for modules that draw or update statistics, and for modules of others, which may do so."""
    draws = isinstance(module, nn.modules.dropout._DropoutNd) or "Stochastic" in type(module).__name__
    drifts = isinstance(module, nn.modules.batchnorm._NormBase)
    return type(module).__module__.startswith("torch") and not draws and not drifts


def _split(traced: fx.GraphModule, last: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return the graph up to the node ``last``, and the graph after it; both use the modules of ``traced``, the network's."""
    prefix, suffix = fx.Graph(), fx.Graph()
    graph, copies = prefix, {}
    for node in traced.graph.nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if node.name == last:
            prefix.output(copies[node])
            graph, copies = suffix, {node: suffix.placeholder("features")}
    return fx.GraphModule(traced, prefix), fx.GraphModule(traced, suffix)
