"""A criterion of one's own, rewinding to a step of round 0, and the density that a logger and ModelCheckpoint see."""

import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 10))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def movement(weights, masks):
    """How far each weight went from where it started."""
    return {name: (weights[name] - ticket.init[name]).abs() for name in masks}


data = DataLoader(TensorDataset(torch.randn(64, 10), torch.randint(0, 10, (64,))), batch_size=16)
model, ticket = MyModule(), LotteryTicket(rate=0.2, criterion=movement, rewind="3it")
with tempfile.TemporaryDirectory() as folder:
    for k in range(3):
        checkpoint = ModelCheckpoint(dirpath=folder, filename=f"{k}-{{density:.2f}}", monitor="density", mode="min")
        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", callbacks=[ticket, checkpoint], logger=CSVLogger(folder, name="", version=str(k)),
            enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
        )  # fmt: skip
        trainer.fit(model, data, data)
        header, *rows = (Path(folder) / str(k) / "metrics.csv").read_text().splitlines()
        [logged] = {row.split(",")[header.split(",").index("density")] for row in rows} - {""}
        print(f"round {ticket.round}: {Path(checkpoint.best_model_path).name}, logged {float(logged):.4f}")
moved = (ticket.rewind_state["net.0.weight"] != ticket.init["net.0.weight"]).any()
print("rewound to weights that had trained:", bool(moved))
