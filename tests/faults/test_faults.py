"""A small share of what ``make faults`` does in full, in a process of its own, which forks before it trains."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@pytest.fixture(scope="module")
def printed() -> str:
    process = subprocess.run([sys.executable, "-m", "tests.faults", "0.004"], check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.mark.parametrize(
    "sentence",
    [
        r"killed at [1-9]\d* write boundaries",
        "signals at random moments: {'SIG",
        r"4 processes, exit codes \[-9, 0, 0, 0\]: 6 rounds trained, 1 of them twice",
        r"no room on the disk: one sentence at [1-9]\d* write boundaries",
        r"[1-9]\d* damages and commands: .*'refused'",
        r"killed [1-9]\d* workers and a driver; exit codes of attempts: {.*-9: ",
        "all rounds are as in an undisturbed run, to the bit",
    ],
)
def test_kills_processes_disks_and_damages_change_no_bit(printed, sentence):
    assert re.search(sentence, printed), printed
