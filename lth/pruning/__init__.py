"""Masks: pure functions on tensors, and the one Lightning callback that applies them."""
