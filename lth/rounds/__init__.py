"""The tree of rounds: what determines a round, where it lies, how it is trained, how it is proved.

The package can be called: ``lth.rounds(outputs)`` reads finished rounds, see ``frame.read``.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


class _Rounds(ModuleType):
    """The API's name and this package's are one attribute of ``lth``, whichever is imported first: so one object is both."""

    def __call__(self, outputs: "str | Path" = "outputs") -> "pd.DataFrame":
        """One row a finished round of an outputs folder, as a pandas DataFrame; see ``lth.rounds.frame.read``."""
        from lth.rounds.frame import read

        return read(outputs)


sys.modules[__name__].__class__ = _Rounds
