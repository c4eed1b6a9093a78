"""What Lightning asks for in every step, at little cost: a small network's step takes about as long as its hooks would."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import PassThroughProfiler
from typing_extensions import override

NOTHING: AbstractContextManager[None] = nullcontext()


class Together(pl.Callback):
    """Several callbacks as one, in their order: Lightning then asks one, and for the hooks alone that some of them have.

    Args:
        callbacks: without a state that a Lightning checkpoint would hold.
    """

    def __init__(self, callbacks: Sequence[pl.Callback]) -> None:
        for hook in (name for name in vars(pl.Callback) if name in ("setup", "teardown") or name.startswith("on_")):
            own = [getattr(c, hook) for c in callbacks if getattr(type(c), hook) is not getattr(pl.Callback, hook)]
            if not hook.endswith("_checkpoint"):
                setattr(self, hook, _all_of(own) if own else None)  # Lightning skips what it cannot call


def _all_of(functions: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def call(*args: Any, **kwargs: Any) -> None:
        for function in functions:
            function(*args, **kwargs)

    return functions[0] if len(functions) == 1 else call


class NoProfiler(PassThroughProfiler):
    """Measures nothing, without a new context manager for each hook."""

    @override
    def profile(self, action_name: str) -> AbstractContextManager[None]:
        return NOTHING
