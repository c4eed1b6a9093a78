"""What TensorBoard gets, read back with TensorBoard's own reader."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lth.tracking import chains
from lth.training.search import search
from lth.tree.spec import Spec
from tests.test_config import composed

RUN = r"lenet_300_100-seed0-rate0\.5-[0-9a-f]{6}"


def read(folder: Path) -> EventMultiplexer:
    boards = EventMultiplexer(size_guidance={"histograms": 0}).AddRunsFromDirectory(str(folder))
    boards.Reload()
    return boards


def values(boards: EventMultiplexer, run: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value, abs=1e-5)) for event in boards.Scalars(run, tag)]


@pytest.fixture(scope="module")
def chain(images, tmp_path_factory):
    """The configuration and the records of a chain of two rounds on grey images with a control of the last one."""
    outputs = tmp_path_factory.mktemp("board")
    options = "data=folder data.image_size=20 data.batch_size=16 epochs=1 model=lenet_300_100 trainer=cpu seed=0 prune.rounds=2"
    more = ["data.channels=1", "prune.rate=0.5", "prune.controls=reinit", "prune.control_rounds=2", f"data.root={images}"]
    config = composed(*options.split(), *more, f"outputs={outputs}")
    return config, search(config, say=lambda line: None)


def test_each_round_is_a_run_with_curves_pictures_and_hyperparameters(chain):
    config, records = chain
    boards = read(Path(config.outputs) / "rounds")
    assert set(boards.Runs()) == {record.name for record in records}
    for record in records:
        tags = boards.GetAccumulator(record.name).Tags()
        assert {"train/loss", "train/acc", "val/loss", "val/acc", "lr", "train/images_per_second"} <= set(tags["scalars"])
        assert values(boards, record.name, "test/acc")[-1][1] == record.test_acc
        assert values(boards, record.name, "hp/test_acc") == [(record.iterations, record.test_acc)]
        assert "test/confusion" in tags["images"]
        assert ("test/misclassified" in tags["images"]) == (record.test_acc < 1)
        [layers] = boards.Tensors(record.name, "layers/text_summary")
        assert f"| {record.flops} |" in layers.tensor_proto.string_val[0].decode()
        start = boards.SummaryMetadata(record.name, "_hparams_/session_start_info").plugin_data.content
        hparams = HParamsPluginData.FromString(start).session_start_info.hparams
        assert hparams["density"].number_value == pytest.approx(record.density)
        assert hparams["control"].string_value == (record.control or "none")
        assert hparams["criterion"].string_value == ("magnitude" if record.round else "none")


def test_a_chain_is_a_run_whose_step_is_the_round_and_so_is_its_control(chain):
    config, records = chain
    boards = read(Path(config.outputs) / "experiments")
    ticket, control = sorted(set(boards.Runs()) - {"verdict"}, key=len)
    assert re.fullmatch(RUN, ticket)
    assert control == f"{ticket}-reinit"
    *tickets, _ = records
    assert values(boards, ticket, "by round/test acc, last epoch") == [(r.round, r.test_acc) for r in tickets]
    assert values(boards, ticket, "by round/weights remaining") == [(r.round, r.density) for r in tickets]
    assert values(boards, ticket, "density/fc1.1") == [(r.round, r.layers["fc1.1.weight"]) for r in tickets]
    assert [step for step, _ in values(boards, ticket, "against sparsity/test acc at early stop")] == [0, 5000, 7500]
    assert values(boards, control, "by round/early-stop iteration") == [(2, records[-1].early_stop_iteration)]
    weights, units = (boards.Histograms(ticket, f"{kind}/fc1.1") for kind in ("remaining weights", "density of output units"))
    assert [event.histogram_value.num for event in weights] == [
        round(record.layers["fc1.1.weight"] * record.layer_weights["fc1.1.weight"]) for record in tickets
    ]
    assert [event.histogram_value.num for event in units] == [300, 300, 300]


def test_rounds_are_added_once_and_again_where_they_are_missing(chain, tmp_path):
    config, _ = chain
    shutil.copytree(config.outputs, tmp_path / "o")
    copied = replace(config, outputs=str(tmp_path / "o"), data=replace(config.data, cache=str(tmp_path / "o" / "cache")))
    experiments = tmp_path / "o" / "experiments"

    def files() -> dict[str, int]:
        return {str(p.relative_to(experiments)): p.stat().st_mtime_ns for p in experiments.glob("*-seed*/*")}

    before = files()
    copied.prune.controls = "none"
    search(copied, say=lambda line: None)
    assert files() == before, "nothing is written for rounds that are there"
    shutil.rmtree(experiments)
    copied.prune.rounds = 3
    search(copied, say=lambda line: None)
    boards = read(experiments)
    [ticket] = boards.Runs()
    assert ticket in next(iter(before)), "a longer chain is the same run"
    assert [step for step, _ in values(boards, ticket, "against sparsity/val acc, last epoch")] == [0, 5000, 7500, 8750]


def test_a_dense_network_is_no_chain_and_what_is_not_default_is_in_the_name(chain, tmp_path):
    _, [dense, *_] = chain
    root = Spec(dense.determined_by)
    chains.enter(tmp_path, root, dense)
    assert not list(tmp_path.iterdir())
    names = set()
    for prune in ({"criterion": "snip"}, {"criterion": "snip", "levels": 3}, {"rewind": "1ep"}, {"rate": 0.1}):
        last = Spec({"parent": root.key, "prune": prune}, root)
        chains.enter(tmp_path, last, dense)
        chains.enter(tmp_path, last, replace(dense, key="0" * 12))  # the same network trained for longer
        names = {path.parent.name for path in tmp_path.glob("experiments/*/*")}
        assert all(len(list(path.iterdir())) == 1 for path in tmp_path.glob("experiments/*"))
    assert sorted(re.sub("-[0-9a-f]{6}$", "", name) for name in names) == [
        "lenet_300_100-seed0-rate0.1", "lenet_300_100-seed0-rate0.2-1ep", "lenet_300_100-seed0-rate0.2-snip",
    ]  # fmt: skip


def test_the_last_verdict_is_shown_alone(tmp_path):
    for text in ("one", "two", "two"):
        chains.verdict(tmp_path, text)
    [event] = read(tmp_path / "experiments").Tensors("verdict", "verdict/text_summary")
    assert event.tensor_proto.string_val == [b"two"]
    assert len(list(tmp_path.glob("experiments/verdict/*"))) == 1
