"""No file that lth reads can run code, and lth has no call that could run one."""

import ast
import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

import lth
from lth import predict
from lth.config import Data
from lth.data import decoded
from lth.errors import LthError
from lth.launch import sent
from lth.models import weights
from lth.tree.store import Store
from tests import damage as D
from tests.conftest import write_images

ROOT = Path(lth.__file__).parent
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle", "marshal", "shelve", "dill", "joblib",
             "yaml", "subprocess", "instantiate", "torch.hub.load", "load_from_checkpoint", "read_pickle", "unpack_archive",
             "extractall", "os.execv", "runpy"}  # fmt: skip


def dotted(node: ast.AST) -> str:
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def risks(tree: ast.AST) -> list[str]:
    """Return the imports and calls of a module that could run code in a file."""
    odd = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            odd += [n for n in [*names, *(a.name for a in node.names)] if n.split(".")[0] in FORBIDDEN]
        if not isinstance(node, ast.Call):
            continue
        name, options = dotted(node.func), {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        last = name.rpartition(".")[2]
        if name in FORBIDDEN or (last in FORBIDDEN and last not in ("compile", "eval")):
            odd.append(name)
        if name == "torch.load" and options.get("weights_only") is not True:
            odd.append("torch.load without weights_only=True")
        if options.get("allow_pickle"):
            odd.append(f"{name} with allow_pickle")
    return odd


def test_no_module_but_those_that_start_workers_has_a_call_that_could_run_a_file():
    odd = {path.relative_to(ROOT).as_posix(): risks(ast.parse(path.read_text())) for path in ROOT.rglob("*.py")}
    assert {path: {name.split(".")[0] for name in names} for path, names in odd.items() if names} == {
        "launch/sent.py": {"pickle"},
        "launch/work.py": {"subprocess"},
        "launch/on_slurm.py": {"subprocess"},
    }, "SECURITY.md says so"


def test_experiments_that_are_sent_as_files_are_for_this_user_alone(tmp_path):
    path = sent.write(Experiments(), tmp_path / "new")
    assert path.parent.stat().st_mode & 0o077 == 0
    assert isinstance(sent.read(path), Experiments)


class Experiments:
    pass


def test_programs_which_torch_unpickles_are_loaded_in_two_places():
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}
    nodes = [(path, node) for path, tree in trees.items() for node in ast.walk(tree)]
    found = {path for path, node in nodes if isinstance(node, ast.Call) and dotted(node.func) == "torch.export.load"}
    assert found == {"predict.py", "export/programs.py"}, "SECURITY.md says so"


def test_predict_loads_no_program_where_there_is_an_onnx_model(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in ("images", "logits")]
    node = onnx.helper.make_node("Identity", ["images"], ["logits"])
    graph, opset = onnx.helper.make_graph([node], "net", ends[:1], ends[1:]), onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "model.onnx")
    torch.save(D.Runs(), tmp_path / "model.pt2")
    monkeypatch.setattr(torch.export, "load", lambda path: pytest.fail("a program is loaded"))
    assert predict.runner(tmp_path)(np.ones((3, 2), np.float32)).shape == (3, 2)


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "eval(x)", "torch.load(p)", "torch.load(p, weights_only=False)",
     "np.load(p, allow_pickle=True)", "hydra.utils.instantiate(c)", "os.system(x)", "tar.extractall()", "pd.read_pickle(p)"],
)  # fmt: skip
def test_the_scan_sees_each_of_them(code):
    assert risks(ast.parse(code))


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob(D.MESSAGE))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("state", [D.Runs(), {"state_dict": D.Runs()}, {"fc1.weight": D.Runs()}])
def test_weights_that_hold_code_are_refused(tmp_path, name, state):
    torch.save(state, tmp_path / name)
    with pytest.raises(LthError, match="cannot be read"):
        weights.read(tmp_path / name)


def test_an_array_that_holds_code_is_not_unpickled(tmp_path):
    root = write_images(tmp_path / "a", 2)
    data = Data(image_size=20, cache=str(tmp_path / "cache"))
    decoded.load(root, data)
    [array] = (tmp_path / "cache").glob("*/images.npy")
    np.save(array, np.array([D.Runs()], dtype=object), allow_pickle=True)
    with contextlib.suppress(LthError, ValueError):  # or it is decoded again
        assert decoded.load(root, data).take(np.arange(6)).shape == (6, 20, 20, 3)


def test_a_round_that_holds_code_is_refused(tmp_path):
    folder = tmp_path / "rounds" / "x-0123456789ab"
    folder.mkdir(parents=True)
    torch.save(D.Runs(), folder / "round.json")
    with pytest.raises(LthError, match="is damaged"):
        Store(tmp_path).read("0123456789ab")
