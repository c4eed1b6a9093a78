"""Cache folders: built once, complete or absent; damaged ones are discarded and generated again."""

import numpy as np
import pytest

from lth.data.cache import META, load_or_build, read_array, write_array
from tests.conftest import decay

EXPECTED = np.arange(24, dtype=np.int16).reshape(12, 2)


def build(draft):
    write_array(draft / "a.npy", np.split(EXPECTED, [5, 6]))
    return {"fact": 1}


def never(*_):
    pytest.fail("built again")


def test_a_folder_is_built_once_after_its_hook(tmp_path):
    folder, calls = tmp_path / "cache" / "x", []
    assert load_or_build(folder, build, lambda: calls.append(folder.exists()))["fact"] == 1
    assert load_or_build(folder, never, never)["fact"] == 1
    assert calls == [False]
    assert np.array_equal(np.load(folder / "a.npy"), EXPECTED)
    assert np.array_equal(read_array(folder / "a.npy"), EXPECTED)
    assert read_array(folder / "a.npy").dtype == np.int16


@pytest.mark.parametrize("length", [1, 10**7])
def test_an_array_may_have_any_length(tmp_path, length):
    write_array(tmp_path / "a.npy", (np.zeros((length, 1), np.uint8) for _ in range(2)))
    assert np.load(tmp_path / "a.npy").shape == (2 * length, 1)


DAMAGE = {
    "flipped": lambda folder: decay(folder / "a.npy", 3),
    "truncated": lambda folder: (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:-3]),
    "empty": lambda folder: (folder / "a.npy").write_bytes(b""),
    "missing": lambda folder: (folder / "a.npy").unlink(),
    "no JSON": lambda folder: (folder / META).write_text("{"),
    "other JSON": lambda folder: (folder / META).write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_named_and_generated_again(tmp_path, capsys, damage):
    load_or_build(tmp_path / "x", build)
    DAMAGE[damage](tmp_path / "x")
    assert load_or_build(tmp_path / "x", build)["fact"] == 1
    assert f"{tmp_path / 'x'} is damaged" in capsys.readouterr().err
    assert np.array_equal(read_array(tmp_path / "x" / "a.npy"), EXPECTED)
    load_or_build(tmp_path / "x", never)


def test_a_build_that_is_killed_fails_or_declines_leaves_nothing(tmp_path):
    (tmp_path / "x.draft").mkdir()
    (tmp_path / "x.draft" / "half.npy").write_bytes(b"of a killed process")

    def fail(draft):
        build(draft)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        load_or_build(tmp_path / "x", fail)
    assert load_or_build(tmp_path / "x", lambda draft: None) is None
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
