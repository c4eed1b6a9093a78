"""Loggers, TensorBoard, progress."""
