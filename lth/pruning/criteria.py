"""Criteria: pure functions to scores, larger = kept; a dict, parameter name -> tensor of its mask's shape.

What computes gradients does so on a copy: the network, its buffers, gradients and modes and torch's random state are
left as they are. Pruned weights count as zeros; their own scores mean nothing and are never ranked.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torchvision.ops import StochasticDepth
from typing_extensions import override

from lth.errors import NumberError, UsageError
from lth.pruning import twin
from lth.pruning.allocation import Keep
from lth.pruning.masks import Masks, keep_top, kept

Scores = dict[str, Tensor]


def magnitude(weights: Mapping[str, Tensor], masks: Masks) -> Scores:
    """|w| of every prunable weight, in float32 (Frankle & Carbin 2019, section 2). Shapes as the masks'."""
    return {name: weights[name].detach().float().abs() for name in masks}


def random(masks: Masks, seed: int) -> Scores:
    """Uniform draws from [0, 1) in position order, the same on every machine; they depend on the shapes alone, not on
    what is pruned. In float64: among millions of float32 draws many are equal, and the earlier would be favoured."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(mask.shape, generator=generator, dtype=torch.float64) for name, mask in masks.items()}


@torch.enable_grad()
def snip(network: nn.Module, masks: Masks, images: Tensor, labels: Tensor) -> Scores:
    """|w dL/dw| of the mean cross-entropy L (Lee et al. 2019, section 4): how much L feels that a weight is there.

    Args:
        network: images (n, ...) -> logits (n, classes). Dropout is left out; other modules keep their modes, so in
            train mode BatchNorm takes the statistics of ``images``.
        images, labels: one batch; class numbers (n,).

    Raises:
        ValueError: a mask fits no parameter, or there are not as many labels as images.
    """
    weights, loss = _loss(network, masks, images, labels)
    grads = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return {name: (w.detach() * grad).abs() for (name, w), grad in zip(weights.items(), grads)}


@torch.enable_grad()
def grasp(network: nn.Module, masks: Masks, images: Tensor, labels: Tensor, temperature: float = 200.0) -> Scores:
    """w (Hg), g and H the gradient and Hessian of the loss in the kept weights (Wang et al. 2020, section 4).

    The paper removes the highest -w (Hg), those whose removal costs the gradient least of its norm; here the same
    weights score lowest. The loss is the mean cross-entropy of logits / ``temperature`` (above 0).
    Arguments and errors as ``snip``'s.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} is not accepted: it takes a number above 0.")
    weights, loss = _loss(network, masks, images, labels, temperature)
    params = list(weights.values())
    grads = torch.autograd.grad(loss, params, create_graph=True, materialize_grads=True)
    # A pruned weight has a gradient too, but no way to follow it.
    along = sum((grad * grad.detach() * mask.to(grad.device)).sum() for grad, mask in zip(grads, masks.values()))
    products = torch.autograd.grad(along, params, materialize_grads=True)
    return {name: w.detach() * product for (name, w), product in zip(weights.items(), products)}


@torch.enable_grad()
def synflow(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Scores:
    """|w| dR/d|w|, R the summed output for an input of ones with all parameters positive (Tanaka et al. 2020, eq. 2).

    In float64 on the CPU: products over all layers leave float32's range. Meant for ``exponential``; in one step it
    collapses layers too (section 5 of the paper).

    Args:
        network: as ``twin.positive`` takes it. BatchNorm scales by its running variance, and shifts nothing. Squeeze and
            excitation multiplies signals, which then grow past float64 within some ten blocks.
        input_shape: (channels, height, width) of one input.

    Raises:
        ValueError: a mask fits no parameter, R is past float64's range, or the network has a softmax, as attention has, whose
            sum is 1 whatever flows into it (NumberError).
    """
    positive = twin.positive(network)
    weights = twin.masked(positive, masks)
    with _WithoutSoftmax():
        flow = twin.forward(positive, torch.ones(1, *input_shape, dtype=torch.float64)).sum()
    if not flow.isfinite():
        raise NumberError(f"the synaptic flow is {flow.item()}: too many layers, large weights, or gates that multiply signals.")
    grads = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    return {name: w.detach() * grad for (name, w), grad in zip(weights.items(), grads)}


class _WithoutSoftmax(TorchFunctionMode):
    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in ("softmax", "scaled_dot_product_attention", "multi_head_attention_forward"):
            raise NumberError("there is no synaptic flow through a softmax, as attention has; prune.criterion takes another one.")
        return func(*args, **(kwargs or {}))


def exponential(score: Callable[[Masks], Mapping[str, Tensor]], masks: Masks, keep: Keep, steps: int = 100) -> Masks:
    """Prune in ``steps`` steps, with new scores before each, to exactly ``keep`` (Tanaka et al. 2020, algorithm 1).

    The number of kept weights falls by the same factor in each step, in all or, where ``keep`` is a dict, in each tensor.

    Raises:
        ValueError: ``steps`` is below 1, or as ``keep_top``.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} is not accepted: it takes a number from 1.")
    start = {name: kept({name: mask}) for name, mask in masks.items()} if isinstance(keep, Mapping) else kept(masks)
    for step in range(1, steps + 1):
        masks = keep_top(score(masks), masks, _between(start, keep, step / steps))
    return masks


def _between(start: Keep, end: Keep, part: float) -> Keep:
    """The number that lies ``part`` (0 to 1) of the way from ``start`` to ``end`` on a log scale; exactly ``end`` at 1."""
    if isinstance(end, Mapping):
        return {name: _between(start.get(name, 0), count, part) for name, count in end.items()}
    if part == 1 or start == 0 or end < 0:
        return end
    return round(start * (max(end, 1) / start) ** part)  # towards 1 where the end is 0, which is no power


def _loss(
    network: nn.Module, masks: Masks, images: Tensor, labels: Tensor, temperature: float = 1.0
) -> tuple[dict[str, Tensor], Tensor]:
    """The weights that ``masks`` name, of a copy of ``network``, and the mean cross-entropy of its logits / temperature."""
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images and {len(labels)} labels do not go together")
    net = copy.deepcopy(network)
    for module in net.modules():
        if isinstance(module, (nn.modules.dropout._DropoutNd, StochasticDepth)):
            module.eval()
        elif isinstance(module, nn.Hardsigmoid):
            module.forward = _hardsigmoid  # torch cannot derive its own twice, which grasp needs
    weights = twin.masked(net, masks)
    with sdpa_kernel(SDPBackend.MATH):  # as with Hardsigmoid: the fused attention has no second derivative
        logits = twin.forward(net, images)
    return weights, F.cross_entropy(logits / temperature, labels.to(logits.device))


def _hardsigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


Criterion = str | Callable[[dict[str, Tensor], Masks], Mapping[str, Tensor]]


def score(criterion: Criterion, weights: Mapping[str, Tensor], masks: Masks, seed: int) -> Mapping[str, Tensor]:
    """Scores by ``magnitude``, ``random`` (drawn by ``seed``) or a function of (weights, masks), dicts by name.

    Raises UsageError where the function does not return one floating-point tensor of each mask's shape.
    """
    if criterion == "magnitude":
        return magnitude(weights, masks)
    if criterion == "random":
        return random(masks, seed)
    scores = criterion({name: weights[name].detach() for name in masks}, masks)
    for name, mask in masks.items():
        given = scores.get(name) if isinstance(scores, Mapping) else None
        if not isinstance(given, Tensor) or given.shape != mask.shape or not given.is_floating_point():
            raise UsageError(f"criterion returned no floating-point scores of shape {tuple(mask.shape)} for {name}.")
    return scores
