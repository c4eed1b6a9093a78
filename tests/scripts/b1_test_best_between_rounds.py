"""The commonest loop: ModelCheckpoint, fit, test of the best checkpoint, and a new Trainer for the next round."""

import tempfile

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


pl.seed_everything(0)
data = DataLoader(TensorDataset(torch.randn(64, 10), torch.randint(0, 10, (64,))), batch_size=16)
model, ticket = MyModule(), LotteryTicket(rate=0.2)
with tempfile.TemporaryDirectory() as folder:
    for k in range(4):
        best = ModelCheckpoint(dirpath=f"{folder}/{k}", monitor="val_loss")
        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", callbacks=[ticket, best], logger=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, data, data)
        trainer.validate(model, data, ckpt_path="best", verbose=False)
        trainer.test(model, data, ckpt_path="best", verbose=False)
        zeros = sum(int((layer.weight == 0).sum()) for layer in (model.net[0], model.net[3]))
        print(f"round {ticket.round}: density {ticket.density:.4f}, {400 - zeros} of 400 weights")
