"""Gradual pruning: one training, from the initialisation to IMP's exact count along the cubic schedule."""

from dataclasses import replace

import pytest
import torch

from lth.config import Config, Prune, Trainer
from lth.errors import Interrupted, InvariantError, UsageError
from lth.pruning import allocation, gradual
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training import fit
from lth.tree import metrics
from lth.tree import ticket as tickets
from lth.tree.spec import chain
from tests.training import final, held, run
from tests.training.test_resume import interrupt, same  # noqa: F401


def test_the_schedule_is_the_paper_s_cubic_and_ends_at_the_exact_count():
    schedule = gradual.schedule(Prune(schedule="gradual", begin=0.1, end=0.75, every=10), 200)
    assert (schedule.begin, schedule.times, schedule.last) == (20, 13, 150)
    kept = [schedule.keep(10**6, 10**5, iteration) for iteration in range(201)]
    assert kept[:30] == [10**6] * 30
    assert kept[150:] == [10**5] * 51
    for iteration in range(20, 151, 10):
        sparsity = 0.9 * (1 - (1 - (iteration - 20) / 130) ** 3)
        assert kept[iteration] == pytest.approx((1 - sparsity) * 10**6, abs=1)
        assert len(set(kept[iteration : iteration + 10])) == 1
    assert kept == sorted(kept, reverse=True)
    assert schedule.keep({"a": 10, "b": 4}, {"a": 1, "b": 4}, 30) == {"a": schedule.keep(10, 1, 30), "b": 4}
    with pytest.raises(UsageError, match=r"prune.every=100 is not accepted: it takes at most 75, since"):
        gradual.schedule(Prune(), 100)


REFUSED = [
    {"structure": "2:4"}, {"structure": "channels"}, {"criterion": "random"}, {"rewind": "1ep"}, {"retrain": "lr"},
    {"scope": "all"}, {"controls": "reinit"}, {"controls": "all"}, {"begin": 0.8},
]  # fmt: skip


@pytest.mark.parametrize("prune", REFUSED)
def test_what_it_cannot_be_combined_with_is_one_sentence(prune):
    [(name, value)] = prune.items()
    with pytest.raises(UsageError, match=rf"^prune.{name}={value} is not accepted: it takes .* with prune.schedule=gradual\.$"):
        Prune(schedule="gradual", **prune)
    with pytest.raises(UsageError, match=r"^prune.schedule=gradual is not accepted: it takes imp or one_shot with several"):
        Config(prune=Prune(schedule="gradual"), trainer=Trainer(devices=2))


def test_its_keys_count_with_it_alone_and_it_trains_as_long_as_imp():
    def specs(**prune):
        return chain(Config(epochs=4, prune=Prune(rounds=3, **prune)), "images", "32-true")

    plain, one = specs(), specs(schedule="gradual")
    assert [s.key for s in plain] == [s.key for s in specs(begin=0.2, end=0.5, every=7)]
    others = [specs(schedule="gradual", **change)[1].key for change in ({"begin": 0.2}, {"end": 0.5}, {"every": 7})]
    assert len({one[1].key, *others, *(s.key for s in plain), specs(schedule="one_shot")[1].key}) == 9
    assert (len(one), one[0].key, one[1].levels) == (2, plain[0].key, 3)
    assert [s.epochs for s in one] == [4, 16]
    assert sum(s.epochs for s in plain) == 16


@pytest.fixture
def made(make_config, tmp_path):
    """A function giving a configuration whose training of 84 iterations is pruned at 5, 10, ... to 60."""

    def make(outputs="outputs", **changes) -> Config:
        prune = changes.pop("prune", {})
        config = make_config(outputs=tmp_path / outputs, rounds=3, rate=0.5, epochs=3, **changes)
        config.prune = replace(config.prune, schedule="gradual", every=5, **prune)
        return config

    return make


def test_it_ends_with_imp_s_count_and_every_check_holds(made):
    records = run(made(prune={"controls": "dense"}))
    dense, record, equal = records
    assert held(records)
    count = M.kept_after(record.prunable, 0.5, 3)
    assert (record.kept, record.epochs, record.levels, equal.epochs) == (count, 12, 3, 12)
    ticket, weights, start = tickets.load_ticket(record.folder), final(record), tickets.load_ticket(dense.folder)
    assert sum(int(weights[name].count_nonzero()) for name in ticket.masks) <= count
    assert not M.revived(weights, ticket.masks)
    assert all(ticket.rewind[name].equal(start.rewind[name]) for name in start.rewind), "it starts from the initialisation"
    assert record.checks["gradual"] == {"holds": True, "off_schedule": [], "prunings": 12, "last_pruning": 60}
    rows = metrics.read(record.folder / "metrics.csv")
    densities = [row["density"] for row in rows]
    assert densities == sorted(densities, reverse=True)
    assert sum(density > record.density for density in densities) == 8
    assert record.early_stop_iteration >= 60
    assert record.best_iteration >= 60
    assert "density" not in metrics.read(dense.folder / "metrics.csv")[0]


def test_layerwise_counts_are_imp_s_and_begin_is_dense(made):
    record = run(made(prune={"allocation": "layerwise", "begin": 0.5, "end": 1.0, "head_rate": 0.5}))[1]
    masks = tickets.load_ticket(record.folder).masks
    head = [list(masks)[-1]]
    assert M.kept_per_layer(masks) == allocation.keeps(M.dense(masks), 0.5, 3, allocation="layerwise", head=head, head_rate=0.5)
    rows = metrics.read(record.folder / "metrics.csv")
    assert [row["density"] for row in rows[:6]] == [1.0] * 6
    assert (record.checks["gradual"]["last_pruning"], record.early_stop_iteration) == (82, 84), "the only validation that counts"


@pytest.mark.parametrize(("model", "optim", "interval"), [("simple_cnn", "adam", 0), ("lenet_300_100", "sgd", 5)])
def test_interrupted_rounds_go_on_to_the_same_bits(made, interrupt, model, optim, interval):  # noqa: F811
    def changed(outputs):
        config = made(outputs, model=model, augment="flip")
        config.optim.name, config.optim.schedule, config.trainer.val_check_interval = optim, "cosine", interval
        return config

    whole, records, stops = run(changed("whole")), None, 0
    while records is None:
        interrupt(17)
        try:
            records = run(changed("parts"))
        except Interrupted:
            stops += 1
    assert stops > 4
    same(records, whole)
    assert records[1].checks["gradual"] == whole[1].checks["gradual"]


def test_the_callback_zeroes_weights_and_moments_of_newly_pruned_weights(made, monkeypatch):
    seen, prune = [], LotteryTicket.prune

    def watched(self, trainer, pl_module, masks):
        before = M.kept(self.masks)
        prune(self, trainer, pl_module, masks)
        network, states = self.network(pl_module), trainer.optimizers[0].state
        for name, mask in masks.items():
            p = network.get_parameter(name)
            moments = [t for t in states[p].values() if t.shape == p.shape]
            assert len(moments) == 2
            assert all(not t[~mask].any() for t in (p, *moments))
            assert all(t[mask].any() for t in moments)
        seen.append((trainer.global_step, before, M.kept(masks)))

    monkeypatch.setattr(LotteryTicket, "prune", watched)
    record = run(made())[1]
    assert [step for step, _, _ in seen] == list(range(5, 61, 5))
    assert all(after < before for _, before, after in seen)
    assert seen[-1][2] == record.kept


class Late(fit.Gradual):
    """Prunes five iterations too late."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.schedule = replace(self.schedule, begin=5)


class Revives(fit.Gradual):
    """Leaves pruned weights as they were."""

    def on_train_batch_end(self, trainer, pl_module, *args):
        with torch.no_grad():
            kept = [p.clone() for p in pl_module.parameters()]
            super().on_train_batch_end(trainer, pl_module, *args)
            for p, old in zip(pl_module.parameters(), kept):
                p.copy_(old)


class Short(fit.Gradual):
    """Stops before the last pruning."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.schedule = replace(self.schedule, times=11)
        self.final -= 1


@pytest.mark.parametrize(("broken", "sentence"), [(Late, "'gradual'"), (Revives, "'zeros'"), (Short, "'exact_count'")])
def test_a_broken_pruning_is_named(made, monkeypatch, broken, sentence):
    monkeypatch.setattr(fit, "Gradual", broken)
    with pytest.raises(InvariantError, match=sentence):
        run(made())


@pytest.mark.parametrize(("change", "sentence"), [(lambda m: m.roll(1, 0), "'nested'"), (torch.ones_like, "'exact_count'")])
def test_masks_that_regrow_or_miscount_are_refused_at_once(made, monkeypatch, change, sentence):
    keep_top, calls = M.keep_top, []

    def other(scores, masks, keep):
        calls.append(keep)
        pruned = keep_top(scores, masks, keep)
        return {name: change(mask) for name, mask in pruned.items()} if len(calls) == 2 else pruned

    monkeypatch.setattr(M, "keep_top", other)
    with pytest.raises(InvariantError, match=sentence):
        run(made())
    assert len(calls) == 2
