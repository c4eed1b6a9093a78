import fcntl

import pytest

from lth.tree import locks


def test_a_local_folder_has_no_weakness(tmp_path):
    assert locks.weakness(tmp_path) == ""
    assert not list(tmp_path.iterdir())


def test_locks_that_do_not_exclude_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert "do not keep processes apart" in locks.weakness(tmp_path)


@pytest.mark.parametrize(
    ("mount", "weak"),
    [
        ("nfs4 rw,vers=4.2,local_lock=none", False),
        ("nfs rw,nolock", True),
        ("nfs rw,local_lock=all", True),
        ("fuse.sshfs rw", True),
        ("9p rw", True),
        ("lustre rw,flock", False),
        ("lustre rw,localflock", True),
        ("ext4 rw", False),
    ],
)
def test_file_systems_whose_locks_stay_on_one_machine_are_told(tmp_path, mount, weak):
    table = tmp_path / "mounts"
    table.write_text(f"none / overlay rw 0 0\nserver:/home {tmp_path} {mount} 0 0\nx {tmp_path}/elsewhere ext4 rw 0 0\n")
    sentence = locks.weakness(tmp_path, table)
    assert bool(sentence) == weak
    assert not weak or mount.split()[0] in sentence


def test_who_waits_for_a_lock_can_be_stopped(tmp_path):
    said = []

    def stop():
        raise InterruptedError

    path = tmp_path / "x.lock"
    with locks.held(path, list, list), pytest.raises(InterruptedError), locks.held(path, lambda: said.append("waiting"), stop):
        pass
    assert said == ["waiting"]
