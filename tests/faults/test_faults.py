"""Short versions of what ``make faults`` does in full. Each is a process of its own, which forks before it trains."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def run(*arguments: str) -> str:
    told = subprocess.run([sys.executable, "-m", *arguments], check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_a_killed_experiment_goes_on_and_ends_with_the_same_bits():
    said = run("tests.faults", "12")
    assert int(re.search(r"killed at (\d+) write boundaries", said)[1]) >= 4
    assert int(re.search(r"stopped (\d+) times", said)[1]) >= 3
    assert "are as without kills, to the bit" in said


def test_processes_share_a_folder_and_one_that_dies_holds_up_nobody():
    assert "all rounds are as from one process" in run("tests.faults.crowd", "4")


def test_damaged_files_are_refused_told_of_or_made_again():
    assert "told" in run("tests.faults.damages", "0.01")


def test_a_full_read_only_or_vanished_disk_is_one_sentence():
    assert "told in one sentence" in run("tests.faults.disk", "0.03")
