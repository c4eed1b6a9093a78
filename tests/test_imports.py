"""Imports run one way: doors -> rounds -> data, models, pruning, results; those know none of each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lth

ROOT = Path(lth.__file__).parent
GROUND = {"config", "errors", "network", "seals", "seeds"}
ALLOWED = {
    "run": {"__version__", "rounds", "results", "usage", "sweep", "guard", *GROUND},
    "report": {"results", *GROUND},
    "board": GROUND,
    "sweep": set(),
    "guard": GROUND,
    "usage": GROUND,
    "verify": {"rounds", "errors"},
    "rounds": {"rounds", "data", "models", "pruning", "results", "seals", "tensors", *GROUND},
    "data": {"data", *GROUND},
    "models": {"models", "tensors", *GROUND},
    "pruning": {"pruning", *GROUND},
    "results": {"results", *GROUND},
    "tensors": set(),
    "config": GROUND,
    "errors": set(),
    "network": set(),
    "__main__": GROUND,
    "seals": set(),
    "seeds": set(),
}


def imported(path: Path) -> set[str]:
    """The rooms of lth that a file imports from."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "lth":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lth."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("lth.")}
    return rooms


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room != "__init__":
        assert imported(path) <= ALLOWED[room]


DOORS = ("run", "verify", "report", "board")
LIGHT = (
    "rounds.search",
    "rounds.verify",
    "rounds.frame",
    "rounds.events",
    "data.split",
    "results.figures",
    "results.table",
    "results.report.build",
)


@pytest.mark.parametrize("module", [f"lth.{name}" for name in (*DOORS, *LIGHT)])
def test_torch_is_not_imported_before_there_is_work(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
