"""What is shown and logged of rounds: progress, Lightning's loggers, TensorBoard."""
