"""lth: find and check lottery tickets, on PyTorch Lightning and Hydra."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lth import rounds
    from lth.pruning.callback import LotteryTicket
    from lth.rounds.model import load_model
    from lth.rounds.ticket import Ticket, load_ticket

__version__ = "0.1.0"
__all__ = ["LotteryTicket", "Ticket", "load_model", "load_ticket", "rounds"]

_HOMES = {
    "LotteryTicket": "lth.pruning.callback",
    "Ticket": "lth.rounds.ticket",
    "load_model": "lth.rounds.model",
    "load_ticket": "lth.rounds.ticket",
}


def __getattr__(name: str) -> Any:
    """Import on first use: torch and Lightning cost seconds, and the command line often needs neither."""
    from importlib import import_module

    if name == "rounds":  # the package itself, which can be called
        return import_module("lth.rounds")
    if name not in _HOMES:
        raise AttributeError(f"module 'lth' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
