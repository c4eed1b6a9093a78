"""What TensorBoard gets, read back with TensorBoard's own reader."""

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lth.rounds.search import search


@pytest.fixture
def boards(make_config, tmp_path):
    records = search(make_config(rounds=1, logger="tensorboard"), say=lambda line: None)
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "outputs" / "rounds"))
    found.Reload()
    return found, records


def test_one_readable_run_a_round_with_scalars_images_and_hparams(boards):
    found, records = boards
    assert set(found.Runs()) == {record["name"] for record in records}
    for record in records:
        tags = found.GetAccumulator(record["name"]).Tags()
        scalars = {"train/loss", "train/acc", "val/loss", "val/acc", "test/acc", "lr", "train/images_per_second", "hp/test_acc"}
        assert scalars | {"weights/density fc1.1", "weights/density fc2.0", "weights/density head"} <= set(tags["scalars"])
        assert "test/confusion" in tags["images"]
        [layers] = found.Tensors(record["name"], "layers/text_summary")
        text = layers.tensor_proto.string_val[0].decode()
        assert f"| {record['flops']} |" in text
        assert str(record["layer_weights"]["fc1.1.weight"]) in text
        assert ("test/misclassified" in tags["images"]) == (record["test_acc"] < 1)
        assert [e.step for e in found.Scalars(record["name"], "val/acc")] == [6, 13]  # Lightning counts steps from 0
        assert abs(found.Scalars(record["name"], "test/acc")[-1].value - record["test_acc"]) < 1e-6


def test_grey_images_are_trained_on_shown_and_recorded(make_config, tmp_path):
    config = make_config(rounds=1, epochs=1, logger="tensorboard", channels=1, model="simple_cnn", normalize="mnist")
    records = search(config, say=lambda line: None)
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "outputs" / "rounds"))
    found.Reload()
    for record in records:
        assert (record["mean"], record["std"]) == ([0.1307], [0.3081])
        assert record["layer_weights"]["conv1.0.weight"] == 15 * 9
        assert record["layer_flops"]["conv1.0.weight"] == 2 * 15 * 9 * 20 * 20
        assert "test/misclassified" in found.GetAccumulator(record["name"]).Tags()["images"]


def test_hparams_are_logged_once_a_round_with_the_scores(boards):
    found, records = boards
    for record in records:
        content = found.SummaryMetadata(record["name"], "_hparams_/session_start_info").plugin_data.content
        hparams = HParamsPluginData.FromString(content).session_start_info.hparams
        assert hparams["density"].number_value == pytest.approx(record["density"])
        assert hparams["model"].string_value == "lenet_300_100"
        assert len(found.Scalars(record["name"], "hp/test_acc")) == 1
