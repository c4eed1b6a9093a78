"""The state of ``LotteryTicket`` as tensors and plain values, which ``torch.load(weights_only=True)`` reads."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lth.errors import InvariantError
from lth.pruning import masks as M


def tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state_dict; what else a module's ``get_extra_state`` puts there is never rewound."""
    return {name: t for name, t in state.items() if isinstance(t, Tensor)}


def saved(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights and buffers, on the CPU."""
    return {name: t.detach().cpu().clone() for name, t in tensors(network.state_dict()).items()}


def pack(masks: M.Masks) -> dict[str, Any]:
    """Masks at one bit a weight, with their hash."""
    return {
        "masks": {name: M.pack(mask) for name, mask in masks.items()},
        "shapes": {name: list(mask.shape) for name, mask in masks.items()},
        "digest": M.digest(masks),
    }


def unpack(packed: Mapping[str, Any]) -> M.Masks:
    """The masks that ``pack`` packed. Raises InvariantError where they are not the ones that were saved."""
    masks = {name: M.unpack(bits, packed["shapes"][name]) for name, bits in packed["masks"].items()}
    if M.digest(masks) != packed["digest"]:
        raise InvariantError("the masks in the checkpoint do not match their hash; the file is damaged.")
    return masks
