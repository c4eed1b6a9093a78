"""The scripts of this folder, each run as a user runs it, and the densities that it must print."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent
PRINTED = {
    "b1_test_best_between_rounds": """\
round 0: density 1.0000, 400 of 400 weights
round 1: density 0.8000, 320 of 400 weights
round 2: density 0.6400, 256 of 400 weights
round 3: density 0.5125, 205 of 400 weights
""",
    "b4_what_is_pruned": """\
warning: LotteryTicket does not prune rnn.weight_ih_l0, rnn.weight_hh_l0, attention.in_proj_weight, \
normed.parametrizations.weight.original1, which are no Conv or Linear weights. parameters= names what is pruned.
warning: LotteryTicket does not prune ema.0.weight, ema.2.weight: without a gradient in round 0 they are a copy that the \
module keeps, or not used. parameters= names what is pruned.
density 0.2500 of head.0.weight, head.2.weight, attention.out_proj.weight
zero where pruned: True
density 0.2500 of rnn.weight_ih_l0, rnn.weight_hh_l0, attention.in_proj_weight, attention.out_proj.weight, \
normed.parametrizations.weight.original1
zero where pruned: True
density 0.2500 of rnn.weight_ih_l0, attention.in_proj_weight, normed.parametrizations.weight.original1
zero where pruned: True
""",
}


def test_every_script_has_its_output():
    assert sorted(path.stem for path in SCRIPTS.glob("b*.py")) == sorted(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_a_script_prints_its_densities(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPTS / f"{name}.py")], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == PRINTED[name]
