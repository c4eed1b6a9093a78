"""The display of long work on files. Imports no torch."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

DELAY = 1.0  # seconds; shorter work is not displayed


def shown(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Yield ``items``, ``total`` in number, under a bar on a terminal, else between a line at the start and one at the end."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, what, total, delay=DELAY, leave=False, file=sys.stderr)
        return
    begin, displayed = time.perf_counter(), False
    for item in items:
        if not displayed and time.perf_counter() - begin > DELAY:
            print(f"lth: {what} ...", file=sys.stderr, flush=True)
            displayed = True
        yield item
    if displayed:
        print(f"lth: {what}: done in {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
