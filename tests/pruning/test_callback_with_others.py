"""LotteryTicket with networks, optimisers and callbacks that other people wrote."""

import copy
import warnings

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    BackboneFinetuning,
    EMAWeightAveraging,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from lth import LotteryTicket
from lth.errors import InvariantError, UsageError
from lth.pruning import masks as M
from tests.pruning.test_callback import AfterEachStep, Plain, StartOf, fit, loader


class Around(Plain):
    """``Plain``'s training of any network: images (n, 1, 6, 6) -> logits (n, 2)."""

    def __init__(self, network, optimiser="adam"):
        super().__init__(optimiser)
        del self.body, self.classifier
        self.network = network

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_gradient_clipping(self, *args, **kwargs):
        pass


def flat(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


class Trained(Around):
    """With a head that is defined first and has two layers."""

    def __init__(self):
        super().__init__(nn.Identity())
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        self.backbone = flat(nn.Linear(36, 8), nn.ReLU())

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.head(self.backbone(batch[0])), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=0.01)


def two_rounds(module, ticket, *callbacks, **options):
    """Train rounds 0 and 1; the weights that came back in the second."""
    fit(module, ticket, **options)
    watch = AfterEachStep(ticket)
    fit(module, ticket, watch, *callbacks, **options)
    return watch.revived


def test_the_state_carries_the_next_masks_to_another_process():
    module, ticket, other = Plain(), LotteryTicket(rate=0.4), LotteryTicket(rate=0.4)
    fit(module, ticket)
    other.load_state_dict(copy.deepcopy(ticket.state_dict()))
    fit(module, ticket)
    fit(Plain(), other)
    assert other.round == 1
    assert M.hash_masks(other.masks) == M.hash_masks(ticket.masks)


def test_a_resumed_round_that_had_ended_is_pruned_after(tmp_path):
    module, ticket = Plain(), LotteryTicket(rate=0.5)
    fit(module, ticket).save_checkpoint(tmp_path / "end.ckpt")
    other = LotteryTicket(rate=0.5)
    fit(module, other, resume=tmp_path / "end.ckpt")
    fit(module, other)
    assert (other.round, round(other.density, 2)) == (1, 0.5)


def test_a_checkpoint_without_masks_is_refused_also_when_the_callback_has_some(tmp_path):
    module, ticket = Plain(), LotteryTicket()
    fit(module).save_checkpoint(tmp_path / "plain.ckpt")
    fit(module, ticket)
    with pytest.raises(InvariantError, match="holds no masks"):
        fit(module, ticket, epochs=3, resume=tmp_path / "plain.ckpt")


def test_a_fit_that_trains_nothing_is_no_round():
    module, ticket = Plain(), LotteryTicket()
    with pytest.warns(UserWarning, match="nothing was trained in round 0"):
        fit(module, ticket, epochs=0)
    fit(module, ticket)
    assert (ticket.round, ticket.density) == (0, 1.0)


def test_a_finder_that_saves_and_restores_before_training_resumes_nothing():
    module, ticket, start = Around(flat(nn.Linear(36, 2))), LotteryTicket(rate=0.5), StartOf()
    module.lr = 0.01
    for k in range(3):
        fit(module, ticket, LearningRateFinder(num_training_steps=6), start)
        expected = M.apply(ticket.init, ticket.masks)
        assert (ticket.round, ticket.density) == (k, 0.5**k)
        assert all(torch.equal(start.state[n], expected[n]) for n in expected)


def test_targets_inside_each_other_are_refused():
    with pytest.raises(UsageError, match="targets '' and 'body' overlap"):
        fit(Plain(), LotteryTicket(target="body"), LotteryTicket())
    with pytest.raises(UsageError, match="target=trunk is not accepted: it takes the name of a submodule, such as body, cl"):
        fit(Plain(), LotteryTicket(target="trunk"))


def test_a_head_is_left_out_by_its_name_with_all_its_layers():
    module, ticket = Trained(), LotteryTicket(head="head")
    fit(module, ticket)
    assert list(ticket.masks) == ["backbone.1.weight"]
    with pytest.raises(UsageError, match="head=fc is not accepted: it takes the name of a submodule, such as network, head, ba"):
        fit(Trained(), LotteryTicket(head="fc"))


def test_layers_that_are_unfrozen_later_are_named_and_pruned_where_they_are_asked_for():
    def later():
        return BackboneFinetuning(unfreeze_backbone_at_epoch=1, verbose=False)

    ticket = LotteryTicket(rate=0.5)
    with pytest.warns(UserWarning, match=r"does not prune backbone\.1\.weight, which are no trained Conv, Linear or"):
        fit(Trained(), later(), ticket, epochs=3)
    assert list(ticket.masks) == ["head.0.weight", "head.2.weight"]
    module, ticket = Trained(), LotteryTicket(rate=0.5, parameters=["backbone.1.weight", "head.0.weight"])
    for _ in range(3):
        start = StartOf()
        fit(module, later(), ticket, start, epochs=3)
    weight, mask = module.backbone[1].weight, ticket.masks["backbone.1.weight"]
    assert M.revived(dict(module.named_parameters()), ticket.masks) == 0
    assert (weight != start.state["backbone.1.weight"])[mask].any(), "and it was trained"
    assert ticket.density == 0.25


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (["trunk.weight"], r"parameters=trunk\.weight is not accepted: it takes names of .*, body\.0\.weight"),
        (["classifier.bias"], r"parameters=classifier\.bias is not accepted: it takes names of .* two or more dimensions, body"),
        (lambda name, p: False, "nothing is prunable"),
    ],
)
def test_parameters_that_cannot_be_pruned_are_refused(parameters, sentence):
    with pytest.raises(UsageError, match=sentence):
        fit(Plain(), LotteryTicket(parameters=parameters))


def test_weights_without_any_gradient_are_no_network():
    module = Around(flat(nn.Linear(36, 2)))
    module.configure_optimizers = lambda: torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    module.training_step = lambda batch, batch_idx: torch.zeros((), requires_grad=True)
    with pytest.raises(UsageError, match="no prunable weight got a gradient"):
        fit(module, LotteryTicket())


def test_a_lazy_module_is_one_sentence():
    with pytest.raises(UsageError, match=r"network\.1\.weight has no shape yet, its module is lazy: pass one batch"):
        fit(Around(flat(nn.LazyLinear(2)), "sgd"), LotteryTicket())


class Counting(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def test_extra_state_is_left_alone(tmp_path):
    module, ticket = Around(flat(Counting(36, 2))), LotteryTicket(rate=0.5)
    assert two_rounds(module, ticket) == 0
    assert list(ticket.init) == ["network.1.weight", "network.1.bias"]
    torch.save(ticket.state_dict(), tmp_path / "state")
    torch.load(tmp_path / "state", weights_only=True)


def test_a_ticket_of_another_network_is_refused():
    masks, init = {"classifier.weight": torch.ones(2, 8)}, {"classifier.weight": torch.ones(1, 8)}
    with pytest.raises(UsageError, match=r"masks has classifier\.weight of torch\.float32; it takes bool"):
        fit(Plain(), LotteryTicket(masks=masks, init={}))
    with pytest.raises(UsageError, match=r"init has classifier\.weight of shape \(1, 8\)"):
        fit(Plain(), LotteryTicket(masks=M.dense(masks), init=init))
    with pytest.raises(UsageError, match=r"^masks has classifier\.weight of shape \(1, 8\); it takes \(2, 8\)\.$"):
        fit(Plain(), LotteryTicket(masks=M.dense(init), init={}))
    with pytest.raises(UsageError, match=r"^masks has trunk\.weight, which the network does not have; it takes names of body\.0"):
        fit(Plain(), LotteryTicket(masks=M.dense({"trunk.weight": torch.ones(2)}), init={}))


class Weights(pl.Callback):
    def __init__(self):
        self.steps, self.epochs = [], []

    def on_train_batch_end(self, trainer, module, *args):
        self.steps.append({n: t.clone() for n, t in module.state_dict().items()})

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append({n: t.clone() for n, t in module.state_dict().items()})


@pytest.mark.parametrize(("rewind", "which", "index"), [("2it", "steps", 1), ("1ep", "epochs", 0), ("6it", "steps", 5)])
def test_later_rounds_start_from_the_weights_that_rewind_names(rewind, which, index):
    module, ticket, weights = Plain(), LotteryTicket(rate=0.3, rewind=rewind), Weights()
    fit(module, ticket, weights)
    for _ in range(2):
        start = StartOf()
        fit(module, ticket, start)
        expected = M.apply(getattr(weights, which)[index], ticket.masks)
        assert all(torch.equal(start.state[n], expected[n]) for n in expected)
    assert ticket.round == 2


@pytest.mark.parametrize("rewind", ["7it", "3ep"])
def test_a_rewind_that_round_0_does_not_reach_is_refused(rewind):
    with pytest.raises(UsageError, match=f"rewind={rewind} is not accepted: round 0 ended after 6 steps"):
        fit(Plain(), LotteryTicket(rewind=rewind))


def test_random_masks_are_drawn_by_the_seed_and_nested():
    hashes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        module, ticket = Plain(), LotteryTicket(rate=0.5, criterion="random")
        assert two_rounds(module, ticket) == 0
        first = ticket.masks
        fit(module, ticket)
        assert (M.regrown(ticket.masks, first), M.kept(ticket.masks)) == (0, M.kept_after(M.size(first), 0.5, 2))
        hashes.append(M.hash_masks(ticket.masks))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_criterion_ranks_what_it_scores():
    module, ticket = Plain(), LotteryTicket(rate=0.25, criterion=lambda weights, masks: {n: -w.abs() for n, w in weights.items()})
    fit(module, ticket)
    trained = {n: module.get_parameter(n).detach().abs().clone() for n in ticket.masks}
    fit(module, ticket)
    kept = max(trained[n][mask].max() for n, mask in ticket.masks.items())
    assert kept <= min(trained[n][~mask].min() for n, mask in ticket.masks.items() if not mask.all())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(36, 36), nn.Linear(36, 36), nn.Linear(36, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.c(self.b(self.a(x.flatten(1)).relu()).relu())


NETWORKS = {
    "tied": Tied,
    "conv1d": lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 36)), nn.Conv1d(1, 4, 5), nn.Flatten(), nn.Linear(128, 2)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_layers_stay_pruned(name):
    module, ticket = Around(NETWORKS[name]()), LotteryTicket(rate=0.5)
    assert two_rounds(module, ticket) == 0
    assert len(ticket.masks) == 2
    assert ticket.density == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "callback", [lambda: EMAWeightAveraging(decay=0.5), lambda: StochasticWeightAveraging(0.01, swa_epoch_start=1)]
)
def test_averaged_weights_are_pruned_too(callback):
    module, ticket = Around(flat(nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2))), LotteryTicket(rate=0.5)
    fit(module, ticket, callback(), epochs=3)
    fit(module, ticket, callback(), epochs=3)
    assert M.revived(dict(module.named_parameters()), ticket.masks) == 0
    assert ticket.density == 0.5


def test_accumulation_with_clipping_and_lbfgs():
    module, ticket = Around(flat(nn.Linear(36, 2))), LotteryTicket(rate=0.5)
    module.configure_gradient_clipping = module.clip_gradients
    assert two_rounds(module, ticket, accumulate_grad_batches=2, gradient_clip_val=0.1) == 0
    module.configure_optimizers = lambda: torch.optim.LBFGS(module.parameters(), lr=0.1, max_iter=3)
    fit(module, ticket)
    assert (M.revived(dict(module.named_parameters()), ticket.masks), ticket.density) == (0, 0.25)


class Scored(Around):
    """With a validation and a test part."""

    def __init__(self):
        super().__init__(flat(nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2)))

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

    test_step = validation_step

    def val_dataloader(self):
        return loader()

    test_dataloader = val_dataloader


def test_the_best_checkpoint_of_a_round_may_be_tested_before_the_next_one(tmp_path):
    module, ticket = Scored(), LotteryTicket(rate=0.2)
    for k in range(4):
        best = ModelCheckpoint(dirpath=tmp_path / str(k), monitor="val_loss")
        trainer = fit(module, ticket, best, enable_checkpointing=True)
        for score in (trainer.validate, trainer.test):
            score(module, ckpt_path="best", verbose=False)
        weights = torch.cat([module.network[i].weight.flatten() for i in (1, 3)])
        assert (ticket.round, int((weights != 0).sum())) == (k, M.kept_after(304, 0.2, k) if k else 304)


def test_a_trainer_that_has_trained_is_refused_and_the_round_stays():
    module, ticket = Plain(), LotteryTicket(rate=0.2)
    trainer = fit(module, ticket)
    sentence = "^this Trainer has trained already: a round is one fit of a new Trainer, created inside the loop.$"
    with pytest.raises(UsageError, match=sentence):
        trainer.fit(module, loader())
    assert (ticket.round, ticket.density) == (0, 1.0)


def test_two_targets_have_rates_of_their_own_and_one_checkpoint_holds_both(tmp_path):
    rates = {"body": 0.2, "classifier": 0.5}

    def tickets():
        return [LotteryTicket(rate=rate, target=target) for target, rate in rates.items()]

    module, both, others = Plain(), tickets(), tickets()
    for _ in range(3):
        trainer = fit(module, *both)
    assert [M.kept(t.masks) for t in both] == [M.kept_after(M.size(t.masks), rates[t.target], 2) for t in both]
    assert {f"density/{target}" for target in rates} <= trainer.callback_metrics.keys()
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fit(Plain(), *others, epochs=3, resume=tmp_path / "last.ckpt")
    assert [M.hash_masks(t.masks) for t in others] == [M.hash_masks(t.masks) for t in both]


class Odd(Around):
    """An LSTM, attention, a weight-normed layer, a head that is defined first, and a copy of it that follows its average."""

    def __init__(self):
        super().__init__(nn.Identity())
        self.head = nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 2))
        self.rnn, self.attention = nn.LSTM(6, 32, batch_first=True), nn.MultiheadAttention(32, 2, batch_first=True)
        self.normed, self.ema = weight_norm(nn.Linear(32, 32)), copy.deepcopy(self.head)

    def training_step(self, batch, batch_idx):
        x, _ = self.rnn(batch[0][:, 0])
        x, _ = self.attention(x, x, x)
        return nn.functional.cross_entropy(self.head(self.normed(x).mean(1)), batch[1])

    def on_train_batch_end(self, *args):
        with torch.no_grad():
            for average, p in zip(self.ema.parameters(), self.head.parameters()):
                average.lerp_(p, 0.1)


WEIGHTS = ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "attention.in_proj_weight", "attention.out_proj.weight"]
NORMED = "normed.parametrizations.weight.original1"
LEFT = [
    f"LotteryTicket does not prune {', '.join([*WEIGHTS[:2], NORMED])}, which are no trained Conv, Linear or attention weights. "
    "parameters= names what is pruned.",
    "LotteryTicket does not prune ema.0.weight, ema.2.weight: without a gradient in round 0 they are a copy that the module "
    "keeps, or not used. parameters= names what is pruned.",
]


@pytest.mark.parametrize(
    ("options", "pruned", "named"),
    [
        ({}, ["head.0.weight", "head.2.weight", *WEIGHTS[2:]], LEFT),
        (
            {"head": "head", "parameters": lambda name, p: not name.startswith("ema") and "original0" not in name},
            [*WEIGHTS, NORMED],
            [],
        ),
        ({"parameters": [WEIGHTS[0], WEIGHTS[2], NORMED]}, [WEIGHTS[0], WEIGHTS[2], NORMED], []),
    ],
)
def test_of_odd_layers_those_are_pruned_that_are_named_and_others_are_said(options, pruned, named):
    torch.manual_seed(0)
    module, ticket = Odd(), LotteryTicket(rate=0.5, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert two_rounds(module, ticket) == 0
    assert [text for text in map(str, (w.message for w in caught)) if "LotteryTicket" in text] == named
    assert (list(ticket.masks), M.kept(ticket.masks)) == (pruned, M.kept_after(M.size(ticket.masks), 0.5))


class ByHand(Around):
    """Optimises and clips by hand; counts gradients of pruned weights that are not zero by then."""

    def __init__(self, ticket):
        super().__init__(flat(nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2)), "sgd")
        self.automatic_optimization, self.ticket, self.dead = False, ticket, 0

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        self.dead += sum(int(self.get_parameter(n).grad[~m].count_nonzero()) for n, m in self.ticket.masks.items())
        self.clip_gradients(optimizer, 0.01, "norm")
        optimizer.step()


def test_who_clips_by_hand_clips_the_norm_of_the_subnetwork():
    ticket = LotteryTicket(rate=0.5)
    module = ByHand(ticket)
    for k in range(3):
        assert (two_rounds(module, ticket), ticket.round, module.dead) == (0, 2 * k + 1, 0)


def test_a_criterion_may_read_the_initialisation_and_loggers_and_checkpoints_the_density(tmp_path):
    ticket = LotteryTicket(rate=0.2, criterion=lambda weights, masks: {n: (weights[n] - ticket.init[n]).abs() for n in masks})
    module = Scored()
    for k in range(3):
        place = tmp_path / str(k)
        best = ModelCheckpoint(dirpath=place / "best", filename="{density:.2f}", monitor="density", mode="min")
        logger = CSVLogger(tmp_path, name="", version=str(k))
        fit(module, ticket, best, enable_checkpointing=True, logger=logger, log_every_n_steps=1)
        header, *rows = (line.split(",") for line in (place / "metrics.csv").read_text().splitlines())
        [logged] = {row[header.index("density")] for row in rows} - {""}
        assert float(logged) == pytest.approx(ticket.density)
        assert [path.name for path in (place / "best").iterdir()] == [f"density={0.8**k:.2f}.ckpt"]
