"""How hard the rendered scenes are: a linear model on pixels against simple_cnn. Minutes."""

import tempfile
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lth.config import Config, Data, Logger, Prune
from lth.data.split import Splits, prepare
from lth.training.search import search


def linear(splits: Splits, epochs: int = 30) -> float:
    """The best test accuracy over the epochs of a softmax regression: an upper bound of what it would be given."""
    (x, y), (tx, ty) = (
        (torch.from_numpy(d.take(np.arange(len(d.names)))).flatten(1).float(), torch.from_numpy(d.labels))
        for d in (splits.train_images, splits.test_images)
    )
    mean, std = x.mean(0), x.std(0) + 1e-6
    x, tx = (x - mean) / std, (tx - mean) / std
    torch.manual_seed(0)
    net = nn.Linear(x.shape[1], 6)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3 if x.shape[1] < 30000 else 1e-4)
    best = 0.0
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            best = max(best, (net(tx).argmax(1) == ty).float().mean().item())
    return best


def scenes() -> None:
    """Linear models at 32x32 and at 150x150 pixels, and simple_cnn with two seeds, 15 epochs, 300 + 100 images a class."""
    with tempfile.TemporaryDirectory() as folder:
        data = Data(name="scenes", cache=f"{folder}/cache")
        print("\nscenes, 1800 training and 600 test images, test accuracy")
        for side in (32, 150):
            print(f"  linear on {side}x{side} pixels, best epoch   {linear(prepare(replace(data, image_size=side))):.3f}")
        for seed in (0, 1):
            config = Config(seed=seed, epochs=15, outputs=folder, data=data, prune=Prune(rounds=0), logger=Logger("none"))
            record = search(config, say=lambda line: None)[0]
            last, best = record.test_acc, record.best_test_acc
            print(f"  simple_cnn, seed {seed}: last epoch {last:.3f}, best by validation {best:.3f}")
