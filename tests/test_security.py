"""No file that lth reads can run code, and lth itself has no call that could."""

import ast
import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import lth
from lth.cli import guard
from lth.data import decoded, sources
from lth.errors import LthError, UsageError
from lth.models import weights
from lth.tree.store import Store
from tests import damage as D
from tests.conftest import write_images

SOURCES = sorted(Path(lth.__file__).parent.rglob("*.py"))
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle", "marshal", "shelve", "dill", "joblib",
             "yaml", "subprocess", "instantiate", "torch.hub.load", "load_from_checkpoint", "read_pickle", "unpack_archive",
             "extractall", "os.execv", "runpy"}  # fmt: skip


def dotted(node: ast.AST) -> str:
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def faults(tree: ast.AST) -> list[str]:
    """What of a module could run code that a file holds."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [n for n in [*names, *(a.name for a in node.names)] if n.split(".")[0] in FORBIDDEN]
        if not isinstance(node, ast.Call):
            continue
        name, options = dotted(node.func), {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        last = name.rpartition(".")[2]
        if name in FORBIDDEN or (last in FORBIDDEN and last not in ("compile", "eval")):
            found.append(name)
        if name == "torch.load" and options.get("weights_only") is not True:
            found.append("torch.load without weights_only=True")
        if options.get("allow_pickle"):
            found.append(f"{name} with allow_pickle")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_no_module_has_a_call_that_could_run_a_file(path):
    own = {"board.py": ["os.execv"]}  # becomes TensorBoard, by this interpreter's own path
    assert faults(ast.parse(path.read_text())) == (own.get(path.name, []) if path.parent == Path(lth.__file__).parent else [])


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "eval(x)", "torch.load(p)", "torch.load(p, weights_only=False)",
     "np.load(p, allow_pickle=True)", "hydra.utils.instantiate(c)", "os.system(x)", "tar.extractall()", "pd.read_pickle(p)"],
)  # fmt: skip
def test_the_scan_sees_each_of_them(code):
    assert faults(ast.parse(code))


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob(D.MESSAGE))


def test_the_pickle_of_these_tests_would_run(tmp_path):
    torch.save(D.Runs(), tmp_path / "w.pth")
    torch.load(tmp_path / "w.pth", weights_only=False)
    os.rmdir(tmp_path / D.MESSAGE)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors", "w.bin"])
@pytest.mark.parametrize("state", [D.Runs(), {"state_dict": D.Runs()}, {"fc1.weight": D.Runs()}])
def test_weights_that_hold_code_are_refused(tmp_path, name, state):
    torch.save(state, tmp_path / name)
    with pytest.raises(LthError, match="cannot be read"):
        weights.read(tmp_path / name)


def test_an_array_that_holds_code_is_not_unpickled(tmp_path):
    root = write_images(tmp_path / "a", 2)
    listing = sources.list_images(root)
    decoded.load(listing, 20, tmp_path / "cache")
    [array] = (tmp_path / "cache").glob("*/images.npy")
    np.save(array, np.array([D.Runs()], dtype=object), allow_pickle=True)
    with contextlib.suppress(LthError, ValueError):  # or it is decoded again
        assert decoded.load(listing, 20, tmp_path / "cache").images.take(np.arange(6)).shape == (6, 20, 20, 3)


def test_a_round_that_holds_code_is_refused(tmp_path):
    folder = tmp_path / "rounds" / "x-0123456789ab"
    folder.mkdir(parents=True)
    torch.save(D.Runs(), folder / "round.json")
    with pytest.raises(LthError, match="is damaged"):
        Store(tmp_path).read("0123456789ab")


REFUSED = [
    "+logger._target_=os.system", "logger={_target_:os.system}", "+hydra.callbacks.x._target_=os.system",
    "hydra.callbacks={x:{y:1}}", "hydra.job_logging.handlers.x.class=y", "++hydra.hydra_logging.x=1", "hydra/job_logging=mine",
    "hydra={callbacks:{x:1}}",
    "++hydra={run:{dir:x},job_logging:{version:1,handlers:{x:{class:subprocess.Popen,args:[y]}}}}", "++hydra={searchpath:[/tmp]}",
    "hydra.searchpath=[/tmp]", "--config-dir=/tmp", "--config-dir", "-cd/tmp", "-cp", "--config-pa=/x",
    "--experimental-rerun=x", "--exp=x", "-cnother",
]  # fmt: skip
TAKEN = ["-m", "--cfg", "job", "-c", "--help", "--hydra-help", "--multirun", "prune.rate=0.2", "data.root=/a/hydra.b",
         "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=x", "--info", "-p", "--resolve"]  # fmt: skip


@pytest.mark.parametrize("argument", REFUSED)
def test_what_could_name_a_function_or_a_foreign_file_is_refused(argument):
    with pytest.raises(UsageError, match=r"is not accepted: .*\.$"):
        guard.check(["prune.rate=0.2", argument])


def test_the_rest_is_taken():
    guard.check(TAKEN)


def test_class_names_are_neither_paths_nor_markup(tmp_path):
    from matplotlib.figure import Figure

    from lth.analysis import table
    from lth.report import figures

    names = ["<script>", "$(touch x)", "$\\frac{", "../x", "a|b"]
    assert isinstance(figures.confusion(np.eye(5, dtype=int), names), Figure)
    figures.confusion(np.eye(5, dtype=int), names).savefig(tmp_path / "x.png")
    record = {
        "layers": {},
        "layer_weights": {},
        "layer_flops": {},
        "prunable": 1,
        "density": 1.0,
        "flops": 1,
        "flops_remaining": 1,
    }
    assert "<script>" not in table.layers(record), "classes are in no table"
