"""A network cut in two where training begins: a constant prefix, to be computed once, and the suffix that trains.

The cut is found in the graph of the network's own forward, traced by torch.fx, so stock networks stay stock.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from lth import hashes
from lth.models.blocks import evaluating


@dataclass(frozen=True)
class Cut:
    """``suffix(prefix(images))`` is ``net(images)``, through the very same modules. ``name`` tells where the cut is."""

    prefix: fx.GraphModule
    suffix: Callable[[Tensor], Tensor]
    name: str
    graphs: tuple[fx.GraphModule, ...]

    def to(self, where: torch.device | str | torch.dtype) -> None:
        """Move what the graphs hold themselves: buffers that the forward reads by name do not follow the network's."""
        for graph in self.graphs:
            graph.to(where)


class Tracer(fx.Tracer):
    """Goes into containers and blocks, and stops at layers: torch's own, and whatever has no parts."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return not any(True for _ in module.children()) or super().is_leaf_module(module, qualified_name)


def cut(net: nn.Module) -> Cut | None:
    """Cut ``net``, in training mode with its frozen blocks in eval mode, as late as its output so far is constant.

    Returns None where nothing in front of the first trained layer is frozen, or the forward cannot be traced.
    """
    try:
        # Functional dropout and the like read ``training`` while they are traced, so each mode has a graph of its own.
        training = _trace(net)
        with evaluating(net):
            evaluation = _trace(net)
    except Exception:  # a forward that fx cannot follow is computed whole
        return None
    place = _place(training)
    if place is None:
        return None
    name = place.name
    halves = {mode: _halves(graph, name) for mode, graph in (("train", training), ("eval", evaluation))}

    def suffix(features: Tensor) -> Tensor:
        return halves["train" if net.training else "eval"][1](features)

    return Cut(halves["eval"][0], suffix, name, (halves["train"][1], *halves["eval"]))


def _trace(net: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(net, Tracer().trace(net))


def _place(graph: fx.GraphModule) -> fx.Node | None:
    """The last node before which nothing trains or draws, and whose value alone goes on."""
    alive: set[fx.Node] = set()
    nodes = list(graph.graph.nodes)
    order = {node: i for i, node in enumerate(nodes)}
    last_use = {node: max((order[user] for user in node.users), default=-1) for node in nodes}
    found, frozen = None, False
    for i, node in enumerate(nodes):
        if _changes(graph, node):
            break
        frozen = frozen or (node.op == "call_module" and any(True for _ in graph.get_submodule(node.target).parameters()))
        alive = {n for n in alive | {node} if last_use[n] > i}
        if frozen and alive == {node} and node.op != "placeholder":
            found = node
    return found


def _changes(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the value depends on something that training changes, or on a draw."""
    if node.op == "output":
        return True
    if node.op == "get_attr":
        tensor = graph
        for part in str(node.target).split("."):
            tensor = getattr(tensor, part)
        return isinstance(tensor, nn.Parameter) and tensor.requires_grad
    if node.op != "call_module":
        return "dropout" in str(node.target) or "stochastic" in str(node.target)
    module = graph.get_submodule(node.target)
    trains = any(p.requires_grad for p in module.parameters())
    drawing = isinstance(module, nn.modules.dropout._DropoutNd) or "Stochastic" in type(module).__name__
    drifts = module.training and (drawing or isinstance(module, nn.modules.batchnorm._NormBase))
    return trains or drifts


def _halves(whole: fx.GraphModule, name: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The graph up to the node ``name``, and from it on; both use the modules of ``whole``, which are the network's."""
    prefix, suffix = fx.Graph(), fx.Graph()
    seen: dict[fx.Node, fx.Node] = {}
    after: dict[fx.Node, fx.Node] = {}
    before = True
    for node in whole.graph.nodes:
        if before:
            seen[node] = prefix.node_copy(node, lambda n: seen[n])
            if node.name == name:
                prefix.output(seen[node])
                after[node] = suffix.placeholder("features")
                before = False
        elif node.op == "output":
            suffix.output(fx.node.map_arg(node.args[0], lambda n: after[n]))
        else:
            after[node] = suffix.node_copy(node, lambda n: after[n])
    return fx.GraphModule(whole, prefix), fx.GraphModule(whole, suffix)


def digest(prefix: fx.GraphModule) -> str:
    """A hash of what the prefix computes: its operations, and the weights and buffers that they read. 16 digits."""
    total = hashlib.sha256(prefix.code.encode())
    total.update(hashes.of_tensors(prefix.state_dict()).encode())
    return total.hexdigest()[:16]
