"""Architectures: one LightningModule each, around a plain network with stock state_dict keys; ``build`` makes them."""
