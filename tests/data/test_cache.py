"""Cache folders: built once, complete or absent; damaged arrays are discarded and generated again."""

import numpy as np
import pytest

from lth.data.cache import META, load_or_build, read_array, write_array
from tests.conftest import decay

EXPECTED = np.arange(24, dtype=np.int16).reshape(12, 2)


def build(draft):
    write_array(draft / "a.npy", np.split(EXPECTED, [5, 6]))
    return {"fact": 1}


def never(_):
    pytest.fail("built again")


def test_a_folder_is_built_once(tmp_path):
    folder = tmp_path / "cache" / "x"
    assert load_or_build(folder, build)["fact"] == load_or_build(folder, never)["fact"] == 1
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
    "unfinished": lambda folder: (folder / META).unlink(),
    "a file": lambda folder: [(folder / "a.npy").unlink(), (folder / META).unlink(), folder.rmdir(), folder.write_text("x")],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_discarded_and_generated_again(tmp_path, capsys, damage):
    folder = tmp_path / "x"
    load_or_build(folder, build)
    DAMAGE[damage](folder)
    assert load_or_build(folder, build)["fact"] == 1
    assert np.array_equal(read_array(folder / "a.npy"), EXPECTED)
    assert ("is damaged; its folder is discarded" in capsys.readouterr().err) == (
        damage not in ("missing", "unfinished", "a file")
    )
    load_or_build(folder, never)


def test_a_half_written_draft_is_cleared(tmp_path):
    half = tmp_path / "x.draft"
    half.mkdir()
    (half / "half.npy").write_bytes(b"half")
    load_or_build(tmp_path / "x", build)
    assert not half.exists()
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["a.npy", META]


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def fail(draft):
        build(draft)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*x\.draft"):
        load_or_build(tmp_path / "x", fail)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_nothing_is_cached_where_the_build_declines(tmp_path):
    assert load_or_build(tmp_path / "x", lambda draft: None) is None
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_hook_is_called_before_building_alone(tmp_path):
    calls = []
    load_or_build(tmp_path / "x", build, lambda: calls.append((tmp_path / "x").exists()))
    load_or_build(tmp_path / "x", never, lambda: pytest.fail("nothing is built"))
    assert calls == [False]
