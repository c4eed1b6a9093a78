"""What TensorBoard gets, read back with TensorBoard's own reader."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lth.tracking import chains
from lth.tracking.round import log_round
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
    """The configuration and the records of a chain of two rounds with a control of the last one."""
    outputs = tmp_path_factory.mktemp("board")
    options = "data=folder data.image_size=20 data.batch_size=16 epochs=1 model=lenet_300_100 trainer=cpu seed=0 prune.rounds=2"
    more = ["prune.rate=0.5", "prune.controls=reinit", "prune.control_rounds=2", f"data.root={images}", f"outputs={outputs}"]
    config = composed(*options.split(), *more)
    return config, search(config, say=lambda line: None)


@pytest.fixture
def copied(chain, tmp_path):
    """The same in a folder of its own."""
    config, _ = chain
    shutil.copytree(config.outputs, tmp_path / "o")
    return replace(config, outputs=str(tmp_path / "o"), data=replace(config.data, cache=str(tmp_path / "o" / "cache")))


def test_each_round_is_a_run_with_curves_pictures_and_text(chain):
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
        [about] = boards.Tensors(record.name, "configuration/text_summary")
        assert record.key in about.tensor_proto.string_val[0].decode()


def test_hyperparameters_of_a_round_have_values_and_choices(chain):
    config, records = chain
    boards = read(Path(config.outputs) / "rounds")
    for record in records:
        content = [boards.SummaryMetadata(record.name, f"_hparams_/{part}") for part in ("session_start_info", "experiment")]
        start, experiment = (HParamsPluginData.FromString(metadata.plugin_data.content) for metadata in content)
        hparams = start.session_start_info.hparams
        assert hparams["density"].number_value == pytest.approx(record.density)
        assert hparams["control"].string_value == (record.control or "none")
        assert hparams["criterion"].string_value == ("magnitude" if record.round else "none")
        assert {info.name for info in experiment.experiment.hparam_infos} == set(hparams), "of every round: any one is asked"
        [control] = [info for info in experiment.experiment.hparam_infos if info.name == "control"]
        assert "shuffle" in [value.string_value for value in control.domain_discrete.values]


@pytest.mark.parametrize("classified", [True, False])
def test_grey_images_and_tasks_without_images(chain, tmp_path, classified):
    _, records = chain
    labels, grey = np.array([0, 1, 1]), np.zeros((3, 8, 8, 1), np.uint8)
    images = SimpleNamespace(labels=labels, take=lambda rows: grey[rows])
    splits = SimpleNamespace(classes=["a", "b"], test=np.arange(3), test_images=images)
    record = replace(records[1], test_confusion=[[1, 0], [1, 1]] if classified else None, layer_flops={})
    logger = TensorBoardLogger(tmp_path, name="", version="")
    log_round([logger], record, np.array([0, 0, 1]) if classified else None, splits if classified else None)
    tags = read(tmp_path).GetAccumulator(".").Tags()
    assert set(tags["images"]) == ({"test/confusion", "test/misclassified"} if classified else set())
    assert "hp/test_acc" in tags["scalars"]
    assert "layers/text_summary" not in tags["tensors"]


def test_a_chain_is_a_run_whose_step_is_the_round_and_so_is_its_control(chain):
    config, records = chain
    boards = read(Path(config.outputs) / "experiments")
    ticket, control = sorted(set(boards.Runs()) - {"verdict"}, key=len)
    assert re.fullmatch(RUN, ticket)
    assert control == f"{ticket}-reinit"
    *tickets, _ = records
    assert values(boards, ticket, "by round/test acc, last epoch") == [(r.round, r.test_acc) for r in tickets]
    assert values(boards, ticket, "by round/weights remaining, percent") == [(r.round, 100 * r.density) for r in tickets]
    assert values(boards, ticket, "density/fc1.1") == [(r.round, r.layers["fc1.1.weight"]) for r in tickets]
    assert [step for step, _ in values(boards, ticket, "against sparsity/test acc at early stop")] == [0, 5000, 7500]
    assert values(boards, control, "by round/early-stop iteration") == [(2, records[-1].early_stop_iteration)]


def test_histograms_count_the_remaining_weights_and_the_units(chain):
    config, records = chain
    boards = read(Path(config.outputs) / "experiments")
    ticket = min(set(boards.Runs()) - {"verdict"}, key=len)
    weights, units = (boards.Histograms(ticket, f"{kind}/fc1.1") for kind in ("remaining weights", "density of output units"))
    for record, remaining, density in zip(records, weights, units, strict=False):  # without the control
        assert remaining.histogram_value.num == round(record.layers["fc1.1.weight"] * record.layer_weights["fc1.1.weight"])
        assert (density.histogram_value.num, density.histogram_value.max <= 1) == (300, True)
    assert len(weights) == len(units) == 3


def test_charts_name_tags_that_are_there(chain):
    config, _ = chain
    boards = read(Path(config.outputs))
    tags = {tag for run in boards.Runs() for tag in boards.GetAccumulator(run).Tags()["scalars"]}
    for run in (run for run in boards.Runs() if re.search(RUN, run)):
        [event, *_] = boards.Tensors(run, "custom_scalars__config__")
        layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
        assert [len(category.chart) for category in layout.category] == [3, 5, 4]
        patterns = [pattern for category in layout.category for chart in category.chart for pattern in chart.multiline.tag]
        assert all(any(re.match(pattern, tag) for tag in tags) for pattern in patterns)
        assert "10000" in layout.category[0].title, "it says what x is"


def test_rounds_are_added_once_and_again_where_they_are_missing(copied):
    experiments = Path(copied.outputs) / "experiments"

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
