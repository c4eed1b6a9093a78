"""Imports run one way, from the commands down to the ground; each package of lth names what it may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lth

ROOT = Path(lth.__file__).parent
GROUND = {"config", "errors", "internet", "hashes", "seeds"}
BASE = {"data", "models", "pruning", *GROUND}
ALLOWED = {
    "__main__": GROUND,
    "run": {"__version__", "study", "launch", "training", "tracking", "cli", *GROUND},
    "api": {"launch", "training", "tracking", "tree", "cli", *BASE},
    "plugins": {"study", "launch", "cli", *GROUND},
    "verify": {"invariants", "cli", *GROUND},
    "board": {"cli", *GROUND},
    "report": {"report", "analysis", "tree", "cli", *GROUND},
    "predict": {"export", "tree", "data", "cli", *GROUND},
    "export": {"export", "training", "tree", "cli", "__version__", *BASE},
    "study": {"study", "launch", "export", "training", "analysis", "report", "tree", "cli", *BASE},
    "launch": {"launch", "training", "tracking", "tree", "cli", *BASE},
    "training": {"training", "tracking", "invariants", "analysis", "report", "tree", "cli", *BASE},
    "tracking": {"tracking", "analysis", "report", "tree", "data", *GROUND},
    "invariants": {"invariants", "tree", *BASE},
    "analysis": {"analysis", "tree", *GROUND},
    "tree": {"tree", "cli", *BASE},
    "cli": {"cli", *GROUND},
    "data": {"data", *GROUND},
    "models": {"models", *GROUND},
    "pruning": {"pruning", *GROUND},
    "config": GROUND,
    "errors": set(),
    "internet": set(),
    "hashes": set(),
    "seeds": set(),
}


def imported(path: Path) -> set[str]:
    """The packages of lth that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "lth":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lth."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("lth.")}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if package != "__init__":
        assert imported(path) <= ALLOWED[package]


COMMANDS = ("run", "verify", "report.__main__", "board", "export.__main__", "predict")
LIGHT = (
    "training.search",
    "invariants.verify",
    "tree.store",
    "tracking.chains",
    "data.split",
    "report.build",
    "analysis.table",
    "launch.jobs",
)


def test_torch_is_not_imported_before_there_is_work():
    code = f"""if True:
        import importlib, sys
        for name in {(*COMMANDS, *LIGHT)}:
            importlib.import_module(f"lth.{{name}}")
            assert "torch" not in sys.modules, name"""
    subprocess.run([sys.executable, "-c", code], check=True)
