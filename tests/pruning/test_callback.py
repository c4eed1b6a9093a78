"""LotteryTicket in a plain Lightning script, with a module and optimisers that know nothing of it."""

import itertools

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lth import LotteryTicket
from lth.errors import InvariantError, UsageError
from lth.pruning import masks as M

OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=1e-2, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
}


class Plain(pl.LightningModule):
    def __init__(self, optimiser="adam"):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 8), nn.ReLU())
        self.classifier = nn.Linear(8, 2)
        self.optimiser = optimiser
        self.norms = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.classifier(self.body(x)), y)

    def configure_optimizers(self):
        return OPTIMISERS[self.optimiser](self.parameters())

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.norms.append({n: p.grad.clone() for n, p in self.named_parameters()})
        self.clip_gradients(optimizer, 0.5, "norm")


class AfterEachStep(pl.Callback):
    """Counts pruned weights that are not zero after every step, and what the optimiser remembers of them."""

    def __init__(self, ticket):
        self.ticket, self.revived, self.moments = ticket, 0, 0

    def on_train_batch_end(self, trainer, module, *args):
        params = dict(module.named_parameters())
        self.revived += M.revived(params, self.ticket.masks)
        for name, mask in self.ticket.masks.items():
            for value in trainer.optimizers[0].state[params[name]].values():
                if torch.is_tensor(value) and value.shape == mask.shape:
                    self.moments += int((value[~mask] != 0).sum())


def loader():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(48, 1, 6, 6, generator=rng)
    return DataLoader(TensorDataset(x, (x.mean((1, 2, 3)) > 0).long()), batch_size=16)


def fit(module, *callbacks, epochs=2, resume=None, **options):
    defaults = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), **(defaults | options))
    trainer.fit(module, loader(), ckpt_path=resume, weights_only=bool(resume) or None)
    return trainer


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_pruned_weights_and_their_moments_stay_exactly_zero_after_every_step(optimiser):
    module, ticket = Plain(optimiser), LotteryTicket(rate=0.5)
    for k in range(3):
        watch = AfterEachStep(ticket)
        fit(module, ticket, watch)
        assert (ticket.round, watch.revived, watch.moments) == (k, 0, 0)
    assert 0.24 < ticket.density < 0.26


def keep_momentum(module):
    """Give it an optimiser that has momentum for all weights already."""
    stale = module.configure_optimizers()
    for p in module.parameters():
        stale.state[p]["momentum_buffer"] = torch.ones_like(p)
    module.configure_optimizers = lambda: stale


def test_weights_stay_zero_with_an_optimiser_that_still_has_momentum_for_them():
    module, ticket = Plain("sgd"), LotteryTicket(rate=0.5)
    fit(module, ticket)
    keep_momentum(module)
    watch = AfterEachStep(ticket)
    fit(module, ticket, watch)
    assert watch.revived == 0


@pytest.mark.parametrize("optimiser", ["sgd", "nesterov", "adam", "adamw"])
def test_where_zero_stays_masked_gradients_alone_give_the_same_bits(optimiser):
    trained, masks = [], {"body.4.weight": torch.rand(8, 64, generator=torch.Generator().manual_seed(1)) < 0.3}
    for zero_stays in (False, True):
        torch.manual_seed(0)
        module = Plain(optimiser)
        ticket = LotteryTicket(None, masks=masks, init=module.state_dict(), zero_stays=zero_stays)
        watch = AfterEachStep(ticket)
        fit(module, ticket, watch)
        assert (watch.revived, watch.moments) == (0, 0)
        trained.append(module.state_dict())
    assert all(torch.equal(t.view(torch.uint8), trained[1][name].view(torch.uint8)) for name, t in trained[0].items() if t.dim())


def test_where_zero_does_not_stay_weights_have_to_be_masked():
    module = Plain("sgd")
    keep_momentum(module)
    masks = {"body.4.weight": torch.zeros(8, 64, dtype=torch.bool)}
    ticket = LotteryTicket(None, masks=masks, init=module.state_dict(), zero_stays=True)
    watch = AfterEachStep(ticket)
    fit(module, ticket, watch, epochs=1)
    assert watch.revived == 3 * 8 * 64


def test_the_gradient_is_masked_before_it_is_clipped():
    module, ticket = Plain("sgd"), LotteryTicket(rate=0.9)
    fit(module, ticket, epochs=1)
    module.norms.clear()
    fit(module, ticket, epochs=1)
    assert len(module.norms) == 3
    for grads in module.norms:
        assert all(not grads[name][~mask].any() for name, mask in ticket.masks.items())
        assert all(grads[name][mask].any() for name, mask in ticket.masks.items())


class StartOf(pl.Callback):
    def on_train_start(self, trainer, module):
        self.state = {n: t.clone() for n, t in module.state_dict().items()}
        self.moments = len(trainer.optimizers[0].state)


def test_every_round_starts_from_init_times_nested_masks_with_buffers_rewound():
    module, ticket = Plain(), LotteryTicket(rate=0.3)
    init = {n: t.clone() for n, t in module.state_dict().items()}
    masks = M.dense({n: p for n, p in module.named_parameters() if n in M.prunable(module)})
    kept = M.size(masks)
    for k in range(4):
        start = StartOf()
        fit(module, ticket, start)
        expected = M.apply(init, ticket.masks)
        assert start.moments == 0
        assert all(torch.equal(start.state[n], expected[n]) for n in init)
        assert (M.kept(ticket.masks), M.regrown(ticket.masks, masks)) == (kept, 0), k
        kept, masks = M.kept_after(kept, 0.3), ticket.masks
    assert list(masks) == ["body.0.weight", "body.4.weight", "classifier.weight"]
    assert list(module.state_dict()) == list(init), "stock keys"
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in module.modules())
    assert all(torch.equal(ticket.init[n], init[n]) for n in init), "the saved init shares storage with the weights"
    assert not torch.equal(module.state_dict()["body.1.running_mean"], init["body.1.running_mean"])


def test_negative_weights_learn_as_positive_ones_do():
    module, ticket = Plain(), LotteryTicket(rate=0.2)
    fit(module, ticket)
    fit(module, ticket)
    for sign, name in itertools.product((-1, 1), ("body.4.weight", "classifier.weight")):
        of_sign = (ticket.init[name].sign() == sign) & ticket.masks[name]
        assert (module.state_dict()[name] != ticket.init[name])[of_sign].float().mean() > 0.6


def test_target_and_head_narrow_what_is_pruned():
    module, ticket = Plain(), LotteryTicket(rate=0.5, target="body", head=False)
    with pytest.warns(UserWarning, match=r"head=False leaves out 4\.weight, the layer defined last"):
        fit(module, ticket)
    fit(module, ticket)
    assert set(ticket.masks) == {"0.weight"}
    assert int((module.body[4].weight == 0).sum()) == 0


def test_a_resumed_round_keeps_its_masks_and_is_not_rewound(tmp_path):
    module, ticket = Plain(), LotteryTicket(rate=0.6)
    fit(module, ticket)
    trainer = fit(module, ticket)
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    torch.load(path, weights_only=True)
    trained = {n: t.clone() for n, t in module.state_dict().items()}

    fresh, other, start = Plain(), LotteryTicket(rate=0.6), StartOf()
    watch = AfterEachStep(other)
    fit(fresh, other, start, watch, epochs=4, resume=path)
    assert all(torch.equal(start.state[n], trained[n]) for n in trained)
    assert M.hash_masks(other.masks) == M.hash_masks(ticket.masks)
    assert (other.round, watch.revived) == (1, 0)
    fit(fresh, other)
    assert other.round == 2
    assert M.regrown(other.masks, ticket.masks) == 0


def test_a_checkpoint_whose_masks_were_changed_is_refused():
    ticket = LotteryTicket(rate=0.5, masks={"w": torch.tensor([True, False])}, init={"w": torch.ones(2)})
    state = ticket.state_dict()
    state["masks"]["packed"]["w"] = (torch.tensor([192], dtype=torch.uint8), [2])
    with pytest.raises(InvariantError, match="do not match their hash"):
        LotteryTicket().load_state_dict(state)


def test_an_interrupted_fit_leaves_no_hook_and_is_repeated_as_the_same_round():
    module, ticket = Plain(), LotteryTicket(rate=0.5)
    fit(module, ticket)

    class Stop(pl.Callback):
        def on_train_batch_end(self, *args):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fit(module, ticket, Stop())
    masks = ticket.masks
    start = StartOf()
    fit(module, ticket, start)
    assert ticket.round == 1
    assert M.hash_masks(ticket.masks) == M.hash_masks(masks)
    assert torch.equal(start.state["classifier.weight"], M.apply(ticket.init, masks)["classifier.weight"])


@pytest.mark.parametrize("bad", [
    {"rate": 0}, {"rate": 1.0}, {"masks": {}}, {"init": {}}, {"criterion": "snip"}, {"rewind": "0it"}, {"rewind": "2"},
    {"masks": {}, "init": {}, "rewind": "2ep"},
])  # fmt: skip
def test_bad_arguments_are_refused(bad):
    with pytest.raises(
        UsageError, match=r"rate|together|rewind|criterion=snip is not accepted: it takes magnitude, random or a func"
    ):
        LotteryTicket(**bad)
