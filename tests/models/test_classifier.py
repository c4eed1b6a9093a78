"""The LightningModule around any network: metrics, learning rate, running sums, frozen blocks, cached features."""

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth.config import Config, Data, Model, Optim
from lth.hashes import differing
from lth.models.build import Network, build
from lth.models.classifier import Classifier, build_optimizer, lr_factor

CLASSES = 4


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, CLASSES)), head="1")


@pytest.fixture
def batches() -> DataLoader:
    """Images of three of the four classes."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(22, 3, 32, 32, generator=generator), torch.randint(0, 3, (22,), generator=generator)
    return DataLoader(TensorDataset(images, labels), batch_size=8)


def trainer(**options) -> pl.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(accelerator="cpu", **quiet, **options)


def test_metrics_are_those_of_all_images(network, batches):
    model = Classifier(network, Optim(), CLASSES)
    [scores] = trainer().test(model, batches, verbose=False)
    images, labels = batches.dataset.tensors
    logits = network.net(images).detach()
    predicted = logits.argmax(1)
    assert torch.equal(torch.cat(model.predictions), predicted)
    assert scores["test/acc"] == float((predicted == labels).float().mean())
    assert scores["test/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    pairs = list(zip(labels.tolist(), predicted.tolist()))
    assert model.matrix.tolist() == [[pairs.count((true, guess)) for guess in range(CLASSES)] for true in range(CLASSES)]


def test_sums_of_an_earlier_process_count_in_the_first_epoch_alone_and_the_rate_follows_the_factor(network, batches):
    sums, epochs, rates = torch.tensor([10.0, 5.0, 78.0]), [], []

    class Note(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

        def on_train_epoch_end(self, trainer, module):
            epochs.append((module.sums.tolist(), module.train_metrics()))

    model = Classifier(network, Optim(lr=2**-30), CLASSES, factor=lambda step: 1.0 + step, sums=sums)
    trainer(max_epochs=2, callbacks=[Note()]).fit(model, batches, batches)
    (first, metrics), (second, _) = epochs
    assert (first[2], second[2]) == (100, 22)
    assert first[0] - second[0] == pytest.approx(10, abs=1e-2)
    assert metrics == {"train/loss": first[0] / 100, "train/acc": first[1] / 100, "lr": 4 * 2**-30}
    assert sums.tolist() == [10, 5, 78]
    assert rates == [2**-30 * (1 + step) for step in range(6)]


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*")
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_frozen_blocks_keep_their_statistics_unless_frozen_bn_is_train(batches, mode):
    network = build(Config(model=Model("resnet18", frozen_bn=mode), finetune="layer4", data=Data(image_size=32)), CLASSES)
    before = {name: tensor.clone() for name, tensor in network.net.state_dict().items()}
    network.net.eval()  # as an earlier round may leave it
    trainer(max_epochs=2).fit(Classifier(network, Optim(), CLASSES), batches, batches)
    changed = differing(network.net.state_dict(), before)
    assert "layer4.0.bn1.running_mean" in changed
    frozen = {name for name in changed if not name.startswith(("layer4.", "fc."))}
    assert bool(frozen) == (mode == "train")
    assert all(name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked") for name in frozen)


def test_a_suffix_computes_the_logits(network):
    features = torch.randn(2, 3 * 32 * 32)
    model = Classifier(network, Optim(), CLASSES, suffix=lambda x: network.net[1](x))
    assert torch.equal(model(features), Classifier(network, Optim(), CLASSES)(features.view(2, 3, 32, 32)))


def test_schedules():
    assert lr_factor(Optim(), 77, 100) == 1
    cosine = Optim(schedule="cosine")
    assert lr_factor(cosine, 0, 100) == 1
    assert abs(lr_factor(cosine, 50, 100) - 0.5) < 1e-12
    assert lr_factor(cosine, 99, 100) > 0
    step = Optim(schedule="step", milestones=[0.07, 0.57], gamma=0.5, warmup=2)
    assert [lr_factor(step, i, 100) for i in (0, 2, 6, 7, 56, 57, 99)] == [1 / 3, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert lr_factor(Optim(schedule="step"), 0, 1) == 1, "the first step is never reduced, however short the training"
    assert [lr_factor(Optim(warmup=4), i, 100) for i in range(6)] == [0.2, 0.4, 0.6, 0.8, 1, 1]


def test_optimisers_are_fused_unless_a_loss_scaler_must_clip():
    params = [nn.Parameter(torch.zeros(2))]
    for name, kind in {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}.items():
        optimizer = build_optimizer(Optim(name=name), params)
        assert type(optimizer) is kind
        assert optimizer.defaults["fused"]
        assert isinstance(build_optimizer(Optim(name=name, sparse=True), params), kind)
    assert not build_optimizer(Optim(clip=1.0), params, "16-mixed").defaults["fused"]
