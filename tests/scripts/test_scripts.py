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
    "b2_one_trainer_for_all_rounds": """\
round 0: density 1.0000
this Trainer has trained already: a round is one fit of a new Trainer, created inside the loop.
round 0: density 1.0000
""",
    "b3_two_targets": """\
densities 1.0000 1.0000
densities 0.8000 0.5000
densities 0.6400 0.2500
['density/decoder', 'density/encoder']
resumed   0.6400 0.2500
""",
    "b4_what_is_pruned": """\
warning: LotteryTicket does not prune rnn.weight_ih_l0, rnn.weight_hh_l0, \
normed.parametrizations.weight.original1, which are no trained Conv, Linear or attention weights. \
parameters= names what is pruned.
warning: LotteryTicket does not prune ema.0.weight, ema.2.weight: without a gradient in round 0 they are a copy that the \
module keeps, or not used. parameters= names what is pruned.
density 0.2500 of head.0.weight, head.2.weight, attention.in_proj_weight, attention.out_proj.weight
zero where pruned: True
density 0.2500 of rnn.weight_ih_l0, rnn.weight_hh_l0, attention.in_proj_weight, attention.out_proj.weight, \
normed.parametrizations.weight.original1
zero where pruned: True
density 0.2500 of rnn.weight_ih_l0, attention.in_proj_weight, normed.parametrizations.weight.original1
zero where pruned: True
""",
    "b5_manual_clipping": """\
round 0: density 1.0000, gradient of pruned weights when clipped: 0.0
round 1: density 0.5000, gradient of pruned weights when clipped: 0.0
round 2: density 0.2500, gradient of pruned weights when clipped: 0.0
masks has net.1.weight, which the network does not have; it takes names of net.0.weight, net.0.bias, net.2.weight, net.2.bias.
masks has net.0.weight of shape (1, 10); it takes (20, 10).
""",
    "b6_criterion_rewind_density": """\
round 0: 0-density=1.00.ckpt, logged 1.0000
round 1: 1-density=0.80.ckpt, logged 0.8000
round 2: 2-density=0.64.ckpt, logged 0.6400
rewound to weights that had trained: True
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
