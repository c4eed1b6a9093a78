"""The names of ``lth``, in every order of imports; hashes."""

import subprocess
import sys

import pytest
import torch

from lth import hashes


@pytest.mark.parametrize("first", ["", "from lth.tree.store import Store", "import lth.tree.spec\nfrom lth import rounds"])
def test_lth_rounds_needs_no_torch_whatever_was_imported_before(first, tmp_path):
    (tmp_path / "rounds").mkdir()
    code = f"import sys, lth\n{first}\nassert lth.rounds({str(tmp_path)!r}).empty\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hashes_are_of_names_types_shapes_and_bits():
    state = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([2])}
    assert hashes.of_tensors(state) == hashes.of_tensors(dict(reversed(state.items())))
    for name, other in {
        "a": torch.tensor([1.0, -0.0]), "b": torch.tensor([[2]]), "c": torch.zeros(1),
    }.items():  # fmt: skip
        assert hashes.of_tensors(state | {name: other}) != hashes.of_tensors(state)
        assert hashes.differing(state, state | {name: other}) == ([name] if name != "b" else [])
    nan = {"a": torch.tensor([float("nan")])}
    assert hashes.differing(nan, {"a": nan["a"].clone()}) == []
    assert hashes.of_json({"a": 1, "b": 2}) == hashes.of_json({"b": 2, "a": 1})
    assert hashes.of_record({"a": 1, "hash": "x"}) == hashes.of_record({"a": 1})
