"""``optim.sparse`` leaves out pruned weights in steps, and changes no bit of any round."""

from dataclasses import replace

import pytest

from lth.errors import Interrupted
from lth.invariants.verify import verify
from lth.models import survivors
from lth.training.device import Device
from lth.training.experiment import ImageExperiment
from tests.test_run import here, small  # noqa: F401
from tests.training import finals, held, run
from tests.training.test_resume import interrupt, same  # noqa: F401


@pytest.fixture
def sparse(monkeypatch):
    """The numbers of weights that steps were over, in place of all, of each layer."""
    found, original = [], survivors.places
    monkeypatch.setattr(survivors, "places", lambda mask: found.append(original(mask)) or found[-1])
    return found


@pytest.fixture
def made(make_config, tmp_path):
    """A function giving a configuration whose tickets keep 1%; of their first layer, of 360,000 weights, less than 2%."""

    def make(outputs: str, *, on: bool = True, **changes):
        config = make_config(outputs=tmp_path / outputs, **{"rounds": 1, "rate": 0.99, "epochs": 2} | changes)
        config.optim.sparse = on
        return config

    return make


CHANGES = {
    "adam": {},
    "adamw, clipped": {"optim__name": "adamw", "optim__weight_decay": 0.01, "optim__clip": 0.5, "optim__schedule": "cosine"},
    "sgd, with moments to rewind to": {"optim__name": "sgd", "prune__rewind": "1ep", "prune__controls": "reinit"},
    "adam, with moments to rewind to": {"prune__rewind": "3it", "final": "compact"},
    "learning rate rewound, patterns": {"prune__retrain": "lr", "prune__structure": "1:60"},
    "gradual": {"prune__schedule": "gradual", "prune__every": 2},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_no_bit_changes_and_no_key(made, tmp_path, sparse, changes):
    fields = {name: changes[name] for name in changes if "__" not in name}
    groups = {name: value for name, value in changes.items() if "__" in name}
    dense, records = (run(made(name, on=name == "on", **fields), **groups) for name in ("off", "on"))
    assert sparse, "it had an effect"
    assert all(len(places.index) < 10_000 for places in sparse)
    assert held(records)
    same(records, dense)
    assert verify(tmp_path / "on", say=lambda line: None) == 0


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_round_goes_on_with_either_optimiser(made, interrupt, sparse, name):  # noqa: F811
    """Interrupted every three steps; each process steps all weights or the kept ones, in turn."""
    whole, records, stops = run(made("whole", on=False, augment="flip"), optim__name=name), None, 0
    while records is None:
        interrupt(3)
        try:
            records = run(made("parts", on=stops % 2 == 0, augment="flip"), optim__name=name)
        except Interrupted:
            stops += 1
    assert stops >= 6
    assert sparse
    same(records, whole)


def test_a_sweep_over_it_trains_each_round_once(here, images, tmp_path):  # noqa: F811
    code, out, _ = here("-m", *small(images, tmp_path), "prune.rounds=1", "prune.rate=0.99", "optim.sparse=true,false")
    assert code == 0, out
    assert len(finals(tmp_path)) == 2


def test_a_gpu_is_said_to_step_all_weights(made, capsys):
    experiment = ImageExperiment.of(made("outputs"))
    for kind in ("cpu", "cuda"):
        replace(experiment, device=Device(kind, "32-true")).task(lambda line: None)
        assert ("optim.sparse has no effect on a GPU" in capsys.readouterr().err) == (kind == "cuda")
