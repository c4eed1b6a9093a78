"""Modules and data of somebody else: a regression on tables and a classifier of short texts. Neither knows lth."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Table(pl.LightningDataModule):
    """Rows of 12 numbers, 256 to train on, 64 each to validate and test; shuffled by torch's own generator."""

    def __init__(self, noise: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(384, 12, generator=generator)
        y = torch.tanh(x @ torch.randn(12, 1, generator=generator)) + noise * torch.randn(384, 1, generator=generator)
        self.parts = [TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 256), (256, 320), (320, 384))]

    def train_dataloader(self):
        return DataLoader(self.parts[0], 32, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], 64)

    def test_dataloader(self):
        return DataLoader(self.parts[2], 64)


class Regression(pl.LightningModule):
    """Logs R2 as its score, and trains with dropout, momentum and a schedule by epochs."""

    def __init__(self, width: int = 64, lr: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(12, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 1))

    def training_step(self, batch, batch_idx):
        return F.mse_loss(self.net(batch[0]), batch[1])

    def _score(self, batch, part):
        predicted, y = self.net(batch[0]), batch[1]
        r2 = 1 - (predicted - y).square().sum() / (y - y.mean()).square().sum()
        self.log_dict({f"{part}/mse": F.mse_loss(predicted, y), f"{part}/r2": r2})

    def validation_step(self, batch, batch_idx):
        self._score(batch, "val")

    def test_step(self, batch, batch_idx):
        self._score(batch, "test")

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.hparams.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)]


class Texts(pl.LightningDataModule):
    """Sequences of 8 of 20 tokens; the class is whether token 3 comes before token 7. No test part."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        x = torch.randint(0, 20, (320, 8), generator=generator)
        x[:, 1], x[:, 6] = 3, 7
        swapped = torch.rand(320, generator=generator) < 0.5
        x[swapped, 1], x[swapped, 6] = 7, 3
        self.parts = TensorDataset(x[:256], swapped[:256].long()), TensorDataset(x[256:], swapped[256:].long())

    def train_dataloader(self):
        return DataLoader(self.parts[0], 32, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], 64)


class TextClassifier(pl.LightningModule):
    """Optimises by hand, and logs under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.embed, self.rnn, self.head = nn.Embedding(20, 16), nn.GRU(16, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, tokens):
        return self.head(self.rnn(self.embed(tokens))[1][0])

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
        self.clip_gradients(optimizer, 1.0, "norm")
        optimizer.step()

    def validation_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.log_dict({"val_ce": F.cross_entropy(logits, batch[1]), "val_right": (logits.argmax(1) == batch[1]).float().mean()})

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)
