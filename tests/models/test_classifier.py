"""The LightningModule around any network: metrics, learning rate, running sums, cached features."""

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth.config import Optim
from lth.models.build import Network
from lth.models.classifier import Classifier, build_optimizer, lr_factor

CLASSES = 4


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network(nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)), head="1")


@pytest.fixture
def batches() -> DataLoader:
    """Images of three of the four classes."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(22, 3, 2, 2, generator=generator), torch.randint(0, 3, (22,), generator=generator)
    return DataLoader(TensorDataset(images, labels), batch_size=8)


def trainer(**options) -> pl.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(accelerator="cpu", **quiet, **options)


def test_metrics_are_those_of_all_images(network, batches):
    model = Classifier(network, Optim(), CLASSES)
    [scores] = trainer().test(model, batches, verbose=False)
    images, labels = batches.dataset.tensors
    with torch.no_grad():
        logits = network.net(images)
    predicted = logits.argmax(1)
    assert torch.equal(torch.cat(model.predictions), predicted)
    assert scores["test/acc"] == float((predicted == labels).float().mean())
    assert scores["test/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    pairs = list(zip(labels.tolist(), predicted.tolist()))
    assert model.matrix.tolist() == [[pairs.count((true, guess)) for guess in range(CLASSES)] for true in range(CLASSES)]
    expected = [float((predicted == labels)[labels == k].float().mean()) if k < 3 else 0.0 for k in range(CLASSES)]
    assert model.class_acc.tolist() == expected, "0 for a class without images"


def test_sums_of_an_earlier_process_count_in_the_first_epoch_alone(network, batches):
    sums, metrics = torch.tensor([10.0, 5.0, 78.0]), []

    class Note(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            metrics.append((module.sums.tolist(), module.train_metrics()))

    trainer(max_epochs=2, callbacks=[Note()]).fit(Classifier(network, Optim(lr=1e-9), CLASSES, sums=sums), batches, batches)
    (first, about), (second, _) = metrics
    assert (first[2], second[2]) == (100, 22)
    assert first[0] - second[0] == pytest.approx(10, abs=1e-3)
    assert about == {"train/loss": first[0] / 100, "train/acc": first[1] / 100, "lr": 1e-9}
    assert sums.tolist() == [10, 5, 78]


@pytest.mark.parametrize(("factor", "expected"), [(None, [1, 1, 0.5]), (lambda step: 0.25 + step, [0.25, 1.25, 2.25])])
def test_the_learning_rate_follows_the_factor(network, batches, factor, expected):
    rates = []

    class Note(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    optim = Optim(schedule="step", milestones=[0.6], gamma=0.5, lr=0.125)
    trainer(max_epochs=1, callbacks=[Note()]).fit(Classifier(network, optim, CLASSES, factor=factor), batches, batches)
    assert rates == [0.125 * value for value in expected]


def test_a_suffix_computes_the_logits_and_a_later_classifier_has_none(network):
    features = torch.randn(2, 12)
    model = Classifier(network, Optim(), CLASSES, suffix=network.net[1])
    assert torch.equal(model(features), network.net[1](features))
    images = features.view(2, 3, 2, 2)
    assert torch.equal(Classifier(network, Optim(), CLASSES)(images), model(features))


def test_schedules():
    assert lr_factor(Optim(), 77, 100) == 1
    cosine = Optim(schedule="cosine")
    assert lr_factor(cosine, 0, 100) == 1
    assert abs(lr_factor(cosine, 50, 100) - 0.5) < 1e-12
    assert lr_factor(cosine, 99, 100) > 0
    step = Optim(schedule="step", milestones=[0.07, 0.57], gamma=0.5, warmup=2)
    assert [lr_factor(step, i, 100) for i in (2, 6, 7, 56, 57, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert lr_factor(step, 0, 100) == 1 / 3
    assert lr_factor(Optim(schedule="step"), 0, 1) == 1, "the first step is never reduced, however short the training"
    warm = Optim(warmup=4)
    assert [lr_factor(warm, i, 100) for i in range(6)] == [0.2, 0.4, 0.6, 0.8, 1, 1]


def test_optimisers_are_fused_unless_a_loss_scaler_must_clip():
    params = [nn.Parameter(torch.zeros(2))]
    for name, kind in {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}.items():
        optimizer = build_optimizer(Optim(name=name), params)
        assert type(optimizer) is kind
        assert optimizer.defaults["fused"]
    assert not build_optimizer(Optim(clip=1.0), params, "16-mixed").defaults["fused"]
