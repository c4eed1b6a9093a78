"""Cut a network in two where training begins: a constant prefix, to be computed once, and the suffix that trains.

The cut is made in the graph of the forward, traced by torch.fx, so stock networks stay stock.
"""

import inspect
import operator

import torch
from torch import Tensor, fx, nn
from torchvision.ops import StochasticDepth

from lth import hashes
from lth.models.blocks import evaluating

DRAWS = ("dropout", "stochastic", "rand", "bernoulli")  # in the names of functions that draw
VARYING = (  # in training mode
    nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.MultiheadAttention, nn.RNNBase, StochasticDepth,
)  # fmt: skip


class Cut(nn.Module):
    """``suffix(prefix(images))`` is ``net(images)``, by the same modules; ``name``: the last operation of the prefix.

    A module, so that ``to`` also moves buffers that a forward reads by name: the graphs hold their own.
    """

    def __init__(self, net: nn.Module, name: str, training: fx.GraphModule, evaluation: fx.GraphModule) -> None:
        super().__init__()
        self.net, self.name = net, name
        self.prefix, self.eval_suffix = _split(evaluation, name)
        _, self.train_suffix = _split(training, name)

    def suffix(self, features: Tensor) -> Tensor:
        return self.train_suffix(features) if self.net.training else self.eval_suffix(features)


class Tracer(fx.Tracer):
    """Takes each layer of torch and each module without children as one operation."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return not any(True for _ in module.children()) or super().is_leaf_module(module, qualified_name)


def trace(net: nn.Module, tracer: fx.Tracer) -> fx.Graph:
    """Return the graph of a forward with its options, such as timm's ``attn_mask``, at their defaults."""
    options = {name: p.default for name, p in inspect.signature(net.forward).parameters.items() if p.default is not p.empty}
    return tracer.trace(net, options or None)


def cut(net: nn.Module) -> Cut | None:
    """Cut ``net``, in training mode with its frozen blocks in eval mode, after the last constant operation.

    Return None where nothing before the first trained layer is frozen, or the forward cannot be traced.
    """
    state = torch.get_rng_state()
    try:
        # Functional dropout reads ``training`` while it is traced, so each mode has a graph of its own.
        training = fx.GraphModule(net, trace(net, Tracer()))
        with evaluating(net):
            evaluation = fx.GraphModule(net, trace(net, Tracer()))
    except Exception:  # nothing is cut where fx cannot follow a forward
        return None
    drawn = not torch.equal(state, torch.get_rng_state())  # a draw became a constant of the graph
    last = None if drawn else _last_constant(training)
    return Cut(net, last, training, evaluation) if last else None


def hash_prefix(prefix: fx.GraphModule) -> str:
    """Return 16 digits of the hash of the prefix's operations, and of the weights and buffers that they read."""
    return hashes.of_json([prefix.code, hashes.of_tensors(prefix.state_dict())])[:16]


def _last_constant(traced: fx.GraphModule) -> str | None:
    """Return the last node up to which nothing trains or is drawn, and whose value alone is used after it."""
    position = {node: i for i, node in enumerate(traced.graph.nodes)}
    last, frozen, needed = None, False, 0  # needed: the position up to which earlier values are used
    for node, i in position.items():
        if _changes(traced, node):
            break
        frozen |= node.op == "call_module" and any(True for _ in traced.get_submodule(node.target).parameters())
        if frozen and needed <= i:
            last = node.name
        needed = max([needed, *(position[user] for user in node.users)])
    return last


def _changes(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether training changes a parameter or buffer of the operation, or it draws."""
    target = str(node.target)
    if node.op == "get_attr":
        return getattr(operator.attrgetter(target)(traced), "requires_grad", False)
    if node.op != "call_module":
        return node.op == "output" or any(word in target for word in DRAWS)
    module = traced.get_submodule(target)
    foreign = not type(module).__module__.startswith("torch")  # may draw, too
    drops = getattr(module, "p", getattr(module, "dropout", 1)) != 0  # BatchNorm has neither
    varies = foreign or (isinstance(module, VARYING) and drops)
    return (module.training and varies) or any(p.requires_grad for p in module.parameters())


def _split(traced: fx.GraphModule, last: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return the graph up to the node ``last``, and the graph after it; both use the network's modules."""
    prefix, suffix = fx.Graph(), fx.Graph()
    graph, copies = prefix, {}
    for node in traced.graph.nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if node.name == last:
            prefix.output(copies[node])
            graph, copies = suffix, {node: suffix.placeholder("features")}
    return fx.GraphModule(traced, prefix), fx.GraphModule(traced, suffix)
