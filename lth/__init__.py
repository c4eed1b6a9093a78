"""lth: find and check lottery tickets, on PyTorch Lightning and Hydra."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lth.api import search
    from lth.pruning.callback import LotteryTicket
    from lth.training.model import load_model
    from lth.tree.results import rounds
    from lth.tree.ticket import Ticket, load_ticket

__version__ = "0.1.0"
__all__ = ["LotteryTicket", "Ticket", "load_model", "load_ticket", "rounds", "search"]

_MODULES = {
    "LotteryTicket": "lth.pruning.callback",
    "Ticket": "lth.tree.ticket",
    "load_model": "lth.training.model",
    "load_ticket": "lth.tree.ticket",
    "rounds": "lth.tree.results",
    "search": "lth.api",
}


def __getattr__(name: str) -> Any:
    """Import on first use: torch and Lightning cost seconds, and the command line often needs neither."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'lth' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
