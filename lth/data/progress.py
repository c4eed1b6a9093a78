"""The display of long work on files. Imports no torch."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def shown(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Iterate over ``items``, ``total`` in number, under a bar; where stderr is no terminal, it is printed every 10 seconds."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(items, f"lth: {what}", total, delay=1, leave=False, mininterval=interval, file=sys.stderr)
