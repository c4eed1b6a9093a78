"""Criteria: pure functions to scores, larger = kept; a dict, parameter name -> tensor of its mask's shape.

Each name of ``config.CRITERIA`` is a function here; its arguments, ``masks`` aside, are the inputs that ``prune`` passes to it.
What computes gradients does so on a copy: the network, its buffers, gradients and modes and torch's random state are left as
they are. Pruned weights count as zeros; their own scores mean nothing and are never ranked.
"""

import copy
from collections.abc import Callable, Collection, Mapping
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torchvision.ops import StochasticDepth

from lth.config import CRITERIA
from lth.errors import NumberError, UsageError
from lth.pruning import masks as M
from lth.pruning.allocation import Keep
from lth.pruning.flow import ACTIVATIONS, NORMS
from lth.pruning.masks import Masks

GATES = {"sigmoid", "hardsigmoid"}
SOFTMAX = {"softmax", "scaled_dot_product_attention", "multi_head_attention_forward"}
Scores = dict[str, Tensor]
Batch = tuple[Tensor, Tensor]  # images (n, ...) and class numbers (n,)
Function = Callable[[Mapping[str, Tensor], Masks], Mapping[str, Tensor]]  # (weights, masks) -> scores
STEPS = {"synflow": 100}  # of a criterion that scores anew while it prunes; others score once


def magnitude(weights: Mapping[str, Tensor], masks: Masks) -> Scores:
    """Return |w| of every prunable weight, in float32 (Frankle & Carbin 2019, section 2)."""
    return {name: weights[name].detach().float().abs() for name in masks}


def random(seed: int, masks: Masks) -> Scores:
    """Return uniform draws from [0, 1) in position order, which depend on the seed and the shapes alone."""
    # In float64: among millions of float32 draws many are equal, and the earlier would be favoured.
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(mask.shape, generator=generator, dtype=torch.float64) for name, mask in masks.items()}


@torch.enable_grad()
def snip(network: nn.Module, batch: Batch, masks: Masks) -> Scores:
    """Return |w dL/dw| of the mean cross-entropy L (Lee et al. 2019, section 4): how much L depends on each weight.

    ``network``: images (n, ...) -> logits (n, classes). Dropout is left out; other modules keep their modes, so in
    train mode BatchNorm takes the statistics of the batch.
    """
    weights, loss = _loss(network, batch, masks)
    grads = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return {name: (w.detach() * grad).abs() for (name, w), grad in zip(weights.items(), grads)}


@torch.enable_grad()
def grasp(network: nn.Module, batch: Batch, masks: Masks) -> Scores:
    """Return w (Hg), g and H the gradient and Hessian of the loss in the kept weights (Wang et al. 2020, section 4).

    The paper removes the highest -w (Hg), those whose removal costs the gradient least of its norm; here the same weights
    score lowest. The loss is the mean cross-entropy of logits / 200, as in the paper's code. Otherwise as ``snip``.
    """
    weights, loss = _loss(network, batch, masks, temperature=200.0)
    params = list(weights.values())
    grads = torch.autograd.grad(loss, params, create_graph=True, materialize_grads=True)
    # A pruned weight has a gradient too, but no way to follow it.
    along = sum((grad * grad.detach() * mask.to(grad.device)).sum() for grad, mask in zip(grads, masks.values()))
    products = torch.autograd.grad(along, params, materialize_grads=True)
    return {name: w.detach() * product for (name, w), product in zip(weights.items(), products)}


@torch.enable_grad()
def synflow(network: nn.Module, input_shape: tuple[int, ...], masks: Masks) -> Scores:
    """Return |w| dR/d|w|, R the summed output for an input of ones with all parameters positive (Tanaka et al. 2020, eq. 2).

    In float64 on the CPU: products over all layers leave float32's range. Meant for many steps: in one step it
    collapses layers too (section 5 of the paper). For networks of convolutions, linear layers, pooling, sums and
    concatenations: activations and norms pass their input on, but for BatchNorm, which multiplies by
    |weight| / sqrt(running variance) and shifts nothing. ``input_shape``: (channels, height, width).

    Raises NumberError where R is past float64's range, or the network has a softmax, whose outputs always add up to 1.
    """
    net = copy.deepcopy(network).cpu().double().eval()
    for name, p in net.named_parameters():
        p.data = torch.zeros_like(p) if name.endswith("bias") else p.data.abs()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.zero_()
    weights = M.mask_(net, masks)
    with torch.random.fork_rng([]), _SynapticFlow():
        flow = net(torch.ones(1, *input_shape, dtype=torch.float64)).sum()
    if not flow.isfinite():
        raise NumberError(f"the synaptic flow is {flow.item()}: too many layers, large weights, or gates that multiply signals.")
    grads = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    return {name: w.detach() * grad for (name, w), grad in zip(weights.items(), grads)}


class _SynapticFlow(TorchFunctionMode):
    """While it is entered, a positive signal passes activations and norms unchanged."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.__name__.strip("_"), kwargs or {}
        if name in SOFTMAX:
            raise NumberError("there is no synaptic flow through a softmax, as attention has; prune.criterion takes another one.")
        scales = name == "batch_norm" and args[1] is not None  # by its running variance
        passed_on = name in ACTIVATIONS | GATES | NORMS and not scales
        return (args or tuple(kwargs.values()))[0] if passed_on else func(*args, **kwargs)


def _loss(network: nn.Module, batch: Batch, masks: Masks, temperature: float = 1.0) -> tuple[dict[str, Tensor], Tensor]:
    """Return the weights with masks, of a copy of ``network``, and the mean cross-entropy of its logits / temperature."""
    images, labels = batch
    net = copy.deepcopy(network)
    for module in net.modules():
        if isinstance(module, (nn.modules.dropout._DropoutNd, StochasticDepth)):
            module.eval()
        elif isinstance(module, nn.Hardsigmoid):
            module.forward = lambda x: F.relu6(x + 3) / 6  # torch's has no second derivative, which grasp needs
    weights = M.mask_(net, masks)
    device = next(net.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), sdpa_kernel(SDPBackend.MATH):
        logits = net(images.to(device))  # without the fused attention, which has no second derivative either
    return weights, F.cross_entropy(logits / temperature, labels.to(device))


def lookup(criterion: str | Function, inputs: Collection[str]) -> Callable[..., Mapping[str, Tensor]]:
    """Return the function of a criterion. Raises UsageError where there is none of this name that reads ``inputs`` alone."""
    if callable(criterion):
        return criterion
    accepted = [name for name in CRITERIA if set(_needs(globals()[name])) <= set(inputs)]
    if criterion not in accepted:
        raise UsageError(f"criterion={criterion} is not accepted: it takes {', '.join(accepted)} or a function.")
    return globals()[criterion]


def _needs(score: Callable[..., Any]) -> list[str]:
    return [name for name in signature(score).parameters if name != "masks"]


def prune(
    criterion: str | Function,
    masks: Masks,
    keep: Keep,
    select: Callable[[Scores, Masks, Keep], Masks] = M.keep_top,
    **inputs: Callable[[], Any],
) -> Masks:
    """Return the masks that keep exactly ``keep`` of the weights that ``masks`` keep, those with the best scores.

    Args:
        criterion: a name in ``config.CRITERIA``, or a function (weights, masks) -> scores, dicts by name.
        select: what keeps ``keep`` weights by their scores.
        inputs: functions without arguments, of which only those that the criterion takes are called, once:
            ``weights``: the trained weights that have masks, by name; ``seed``: an integer; ``network``: the module with the
            weights that training starts from, on the device to score on; ``batch``: images and labels; ``input_shape``.

    Raises UsageError where there is no such criterion, or scores are missing or of other shapes; ValueError as ``keep_top``.
    """
    score = lookup(criterion, inputs)
    values = [inputs[name]() for name in (("weights",) if callable(criterion) else _needs(score))]
    steps = 1 if callable(criterion) else STEPS.get(criterion, 1)
    # Each step leaves the same fraction of the weights (Tanaka et al. 2020, algorithm 1).
    start = M.kept_per_layer(masks) if isinstance(keep, Mapping) else M.kept(masks)
    for step in range(1, steps + 1):
        scores = score(*values, masks)
        for name, mask in masks.items():
            of_layer = scores.get(name) if isinstance(scores, Mapping) else None
            if not isinstance(of_layer, Tensor) or of_layer.shape != mask.shape or not of_layer.is_floating_point():
                raise UsageError(f"criterion returned no floating-point scores of shape {tuple(mask.shape)} for {name}.")
        masks = select(scores, masks, _between(start, keep, step / steps))
    return masks


def _between(start: Keep, end: Keep, part: float) -> Keep:
    """Return the number ``part`` (0 to 1) of the way from ``start`` to ``end`` on a log scale; exactly ``end`` at 1."""
    if isinstance(end, Mapping):
        return {name: _between(start[name], count, part) for name, count in end.items()}
    if part == 1 or start == 0:
        return end
    return round(start * (max(end, 1) / start) ** part)  # towards 1 where the end is 0, which is no power
