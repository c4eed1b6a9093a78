"""An LSTM, attention and a weight-normed layer, a head that is defined first, and an EMA copy in the module."""

import copy
import warnings

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket


class MyModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 5))
        self.rnn = nn.LSTM(6, 32, batch_first=True)
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.normed = weight_norm(nn.Linear(32, 32))
        self.ema = copy.deepcopy(self.head)

    def training_step(self, batch, batch_idx):
        x, _ = self.rnn(batch[0])
        x, _ = self.attention(x, x, x)
        return nn.functional.cross_entropy(self.head(self.normed(x).mean(1)), batch[1])

    def on_train_batch_end(self, *args):
        with torch.no_grad():
            for average, p in zip(self.ema.parameters(), self.head.parameters()):
                average.lerp_(p, 0.1)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def three_rounds(**options):
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.randn(32, 4, 6), torch.randint(0, 5, (32,))), batch_size=16)
    model, ticket = MyModule(), LotteryTicket(rate=0.5, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            pl.Trainer(
                max_epochs=1, accelerator="cpu", callbacks=[ticket], logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False,
            ).fit(model, data)  # fmt: skip
    for warning in caught:
        if "LotteryTicket" in str(warning.message):
            print("warning:", warning.message)
    print(f"density {ticket.density:.4f} of {', '.join(ticket.masks)}")
    names = dict(model.named_parameters())
    print("zero where pruned:", all(not names[name][~mask].any() for name, mask in ticket.masks.items()))


three_rounds()
three_rounds(head="head", parameters=lambda name, p: not name.startswith("ema") and "original0" not in name)
three_rounds(parameters=["rnn.weight_ih_l0", "attention.in_proj_weight", "normed.parametrizations.weight.original1"])
