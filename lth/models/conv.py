"""Conv-2, Conv-4 and Conv-6, the VGG-like networks of the Lottery Ticket paper (Frankle & Carbin 2019, figure 2)."""

from collections import OrderedDict

import torch.nn as nn

from lth.models.lenet_300_100 import glorot_


def network(convolutions: int, classes: int, image_size: int, channels: int = 3) -> nn.Sequential:
    """Return the network of 2, 4 or 6 ``convolutions``, images (n, channels, image_size, image_size) -> logits (n, classes).

    Pairs of 3x3 convolutions with 64, 128 and 256 channels, each pair pooled by 2; linear 256, 256, classes.
    Glorot-normal weights and zero biases, as in the paper. On 32x32 colour images Conv-2 has 4.3 M weights and Conv-4
    2.4 M, as the paper says; Conv-6 has 2.3 M, 1.1 M of them in convolutions, where the paper says 1.7 M and 1.1 M.
    """
    parts, inputs = OrderedDict(), channels
    for i in range(convolutions):
        outputs, pool = 64 * 2 ** (i // 2), [nn.MaxPool2d(2)] * (i % 2)
        # Pooling before the ReLU gives the same output with a quarter of the work, see simple_cnn.
        parts[f"conv{i + 1}"] = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *pool, nn.ReLU())
        inputs = outputs
    side = image_size // 2 ** (convolutions // 2)
    parts["fc1"] = nn.Sequential(nn.Flatten(), nn.Linear(inputs * side**2, 256), nn.ReLU())
    parts["fc2"] = nn.Sequential(nn.Linear(256, 256), nn.ReLU())
    parts["head"] = nn.Linear(256, classes)
    return glorot_(nn.Sequential(parts))
