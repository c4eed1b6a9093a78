"""Two networks in one module, each with a callback and a rate of its own; and a checkpoint that holds both."""

import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(10, 20), nn.Linear(20, 10)

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self.decoder(self.encoder(batch[0]).relu()), batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def make_trainer(*callbacks, epochs=1):
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


data = DataLoader(TensorDataset(torch.randn(64, 10)), batch_size=16)
model = MyModule()
tickets = [LotteryTicket(rate=0.2, target="encoder"), LotteryTicket(rate=0.5, target="decoder")]
for _ in range(3):
    trainer = make_trainer(*tickets)
    trainer.fit(model, data)
    print("densities", *(f"{ticket.density:.4f}" for ticket in tickets))
print(sorted(name for name in trainer.callback_metrics if name.startswith("density")))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "last.ckpt"
    trainer.save_checkpoint(path)
    others = [LotteryTicket(rate=0.2, target="encoder"), LotteryTicket(rate=0.5, target="decoder")]
    make_trainer(*others, epochs=2).fit(MyModule(), data, ckpt_path=path)
print("resumed  ", *(f"{ticket.density:.4f}" for ticket in others))
