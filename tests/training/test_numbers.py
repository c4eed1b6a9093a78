"""Numbers that are none, gradients that overflow, and bits that come again."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision

from lth.errors import NumberError
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from tests.test_run import run as command
from tests.test_run import small
from tests.training import finals


@pytest.mark.parametrize(
    ("value", "word"), [(float("nan"), "not a number"), (float("inf"), "infinite"), (-float("inf"), "infinite")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_nothing_is_ranked_by_what_is_no_finite_number(value, word, dtype):
    scores = {"a": torch.ones(3, dtype=dtype), "b": torch.tensor([1.0, value], dtype=dtype)}
    with pytest.raises(NumberError, match=word):
        M.keep_top(scores, M.dense(scores), 2)
    pruned = M.dense(scores) | {"b": torch.tensor([True, False])}
    assert M.kept(M.keep_top(scores, pruned, 2)) == 2, "what is pruned already is not ranked"


class Plain(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.net(batch[0]).float(), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)


class Watch(pl.Callback):
    def __init__(self, ticket, scaler):
        self.ticket, self.scaler, self.skipped, self.revived = ticket, scaler, [], []

    def on_train_batch_start(self, trainer, module, *_):
        self.scale, self.before = self.scaler.get_scale(), module.net[0].weight.detach().clone()

    def on_train_batch_end(self, trainer, module, *_):
        skipped = self.scaler.get_scale() < self.scale
        assert torch.equal(self.before, module.net[0].weight) == skipped
        self.skipped.append(skipped)
        self.revived.append(M.revived(dict(module.net.named_parameters()), self.ticket.masks))


def test_a_gradient_that_overflows_skips_a_step_and_unmasks_nothing():
    torch.manual_seed(0)
    module = Plain()
    masks = {n: torch.rand(p.shape) < 0.5 for n, p in module.net.named_parameters() if n.endswith("weight")}
    ticket = LotteryTicket(None, target="net", masks=masks, init={n: t.clone() for n, t in module.net.state_dict().items()})
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**125)
    watch = Watch(ticket, scaler)
    data = torch.utils.data.TensorDataset(1e3 * torch.randn(64, 8), torch.randint(0, 2, (64,)))
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)], callbacks=[ticket, watch],
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=4))
    assert True in watch.skipped
    assert False in watch.skipped, "and then the scale fits"
    assert not any(watch.revived)
    assert np.isfinite(scaler.get_scale())


def test_two_fresh_processes_agree_to_the_bit(images, tmp_path):
    options = ["model=simple_cnn", "data.augment=standard", "prune.rounds=1", "epochs=2", "logger=none"]
    for name, deterministic in (("a", "true"), ("b", "false")):
        ended = command(*small(images, tmp_path / name), *options, f"trainer.deterministic={deterministic}")
        assert ended.returncode == 0, ended.stderr
    assert len(finals(tmp_path / "a")) == 2
    assert finals(tmp_path / "a") == finals(tmp_path / "b"), "trainer.deterministic is no part of the key"
