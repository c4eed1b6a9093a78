"""Manual optimisation with clipping: the norm is that of the subnetwork. And masks that are of another network."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 10))
        self.automatic_optimization = False
        self.dead = 0.0

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(nn.functional.cross_entropy(self.net(batch[0]), batch[1]))
        for name, mask in ticket.masks.items():
            self.dead = max(self.dead, float(self.get_parameter(name).grad[~mask].abs().sum()))
        self.clip_gradients(optimizer, 0.01, "norm")
        optimizer.step()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def fit(model, ticket):
    pl.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[ticket], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(model, data)  # fmt: skip


data = DataLoader(TensorDataset(torch.randn(64, 10), torch.randint(0, 10, (64,))), batch_size=16)
model, ticket = MyModule(), LotteryTicket(rate=0.5)
for _ in range(3):
    fit(model, ticket)
    print(f"round {ticket.round}: density {ticket.density:.4f}, gradient of pruned weights when clipped: {model.dead}")
for masks in ({"net.1.weight": torch.ones(20, 10).bool()}, {"net.0.weight": torch.ones(1, 10).bool()}):
    try:
        fit(model, LotteryTicket(masks=masks, init=model.state_dict()))
    except ValueError as error:
        print(error)
