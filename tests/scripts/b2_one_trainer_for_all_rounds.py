"""A Trainer that is made once, outside the loop: its epochs are over after the first fit."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 10))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


data = DataLoader(TensorDataset(torch.randn(64, 10), torch.randint(0, 10, (64,))), batch_size=16)
model, ticket = MyModule(), LotteryTicket(rate=0.2)
trainer = pl.Trainer(
    max_epochs=2, accelerator="cpu", callbacks=[ticket], logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
try:
    for _ in range(3):
        trainer.fit(model, data)
        print(f"round {ticket.round}: density {ticket.density:.4f}")
except ValueError as error:
    print(error)
print(f"round {ticket.round}: density {ticket.density:.4f}")
