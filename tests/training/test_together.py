"""Several callbacks as one."""

import pytorch_lightning as pl

from lth.training.together import NoProfiler, Together


class Starts(pl.Callback):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def on_train_start(self, trainer, pl_module):
        self.calls.append((self.name, "train"))


class Both(Starts):
    def teardown(self, trainer, pl_module, stage):
        self.calls.append((self.name, stage))


def test_hooks_are_called_in_order_and_those_that_nobody_has_are_no_functions():
    calls = []
    together = Together([Starts("a", calls), Both("b", calls)])
    together.on_train_start(None, None)
    together.teardown(None, None, stage="fit")
    assert calls == [("a", "train"), ("b", "train"), ("b", "fit")]
    assert together.on_train_batch_end is None
    assert callable(together.on_save_checkpoint)  # which Lightning calls without asking


def test_a_round_is_trained_by_a_trainer_that_measures_nothing():
    trainer = pl.Trainer(profiler=NoProfiler(), logger=False, accelerator="cpu", enable_checkpointing=False)
    with trainer.profiler.profile("one"), trainer.profiler.profile("two"):
        assert trainer.profiler.profile("one") is trainer.profiler.profile("two")
