"""What a study trains, and how a budget makes it smaller: pure functions."""

from dataclasses import replace

import pytest

from lth.config import Config, Prune, Study
from lth.errors import UsageError
from lth.launch import graph
from lth.launch.graph import Cost, unite
from lth.study import estimate, plan
from lth.study.plan import Size
from lth.tree.spec import chain
from tests.analysis.invent import record
from tests.test_config import composed

CONFIG = Config(
    seed=5, epochs=30, prune=Prune(rate=0.37), study=Study(["simple_cnn", "simple_cnn:all", "resnet18:head", "resnet18:layer3"])
)
ROWS = ["simple_cnn", "resnet18:head", "resnet18:layer3"]


def test_dense_networks_come_first_then_tickets_seed_by_seed_and_a_head_has_no_channels():
    assert plan.names(CONFIG.study) == ROWS
    searches = plan.searches(CONFIG, ROWS, Size(2, 12, 0.37))
    dense, tickets = searches[:6], searches[6:]
    assert [(name, one.seed, one.prune.rounds) for name, one in dense] == [(name, seed, 0) for seed in (5, 6) for name in ROWS]
    assert [(name, one.seed, one.prune.structure, one.prune.rounds) for name, one in tickets[:5]] == [
        ("simple_cnn", 5, "weights", 5), ("simple_cnn", 5, "channels", 3), ("resnet18:head", 5, "weights", 5),
        ("resnet18:layer3", 5, "weights", 5), ("resnet18:layer3", 5, "channels", 3),
    ]  # fmt: skip
    assert {one.epochs for _, one in searches} == {12}
    assert {(one.prune.controls, one.prune.control_rounds) for _, one in tickets} == {("reinit", "5"), ("reinit", "3")}
    mlp = replace(CONFIG, model=replace(CONFIG.model, head="mlp"))
    assert len(plan.searches(mlp, ROWS, Size(1, 12, 0.37))) == 3 + 6, "a hidden layer has channels"


def test_a_row_has_the_key_of_the_same_experiment_alone():
    study, own = composed("experiment=study"), composed("experiment=densenet121_denseblock3_ours")
    one = plan.row(study, "densenet121:denseblock3")
    assert chain(one, "images", "32-true")[0].key == chain(own, "images", "32-true")[0].key
    assert (one.model.weights, plan.row(study, "simple_cnn").model.weights) == ("imagenet", "none")


def test_the_new_head_of_pretrained_blocks_is_not_pruned_with_them():
    study = composed("experiment=study")
    pruned = {name: plan.row(study, name).prune.head for name in plan.names(study.study)}
    assert [name for name, head in pruned.items() if not head] == ["densenet121:denseblock3", "resnet18:layer3"]


@pytest.mark.parametrize(("density", "structure", "expected"), [(0.1, "weights", 5), (0.1, "channels", 3), (0.63, "weights", 1)])
def test_rounds_lead_to_the_density(density, structure, expected):
    assert plan.rounds(Size(1, 1, 0.37), density, structure) == expected


def test_sizes_lose_seeds_then_epochs_then_rounds_and_keep_the_density():
    sizes = list(plan.sizes(CONFIG))
    assert [(s.seeds, s.epochs) for s in sizes[:7]] == [(3, 30), (2, 30), (2, 24), (2, 19), (2, 15), (2, 12), (2, 10)]
    counts = [plan.rounds(s, 0.1) for s in sizes]
    assert counts == [5] * 7 + [4, 3, 2]
    assert all((1 - s.rate) ** k <= 0.1 for s, k in zip(sizes, counts))


@pytest.mark.parametrize(
    ("budget", "expected", "said"),
    [
        ("100min", Size(3, 30, 0.37), "all that is asked for"),
        ("60min", Size(2, 30, 0.37), "2 seeds instead of 3"),
        ("1h", Size(2, 30, 0.37), "2 seeds instead of 3"),
        ("1900s", Size(2, 15, 0.37), "2 seeds instead of 3, 15 epochs instead of 30"),
        ("none", Size(3, 30, 0.37), "all that is asked for"),
    ],
)
def test_the_first_size_that_fits_is_chosen(budget, expected, said):
    config = replace(CONFIG, study=replace(CONFIG.study, budget=budget))
    size, seconds = plan.choose(config, lambda size: 60.0 * size.seeds * size.epochs)
    assert (size, seconds) == (expected, 60 * expected.seeds * expected.epochs)
    assert plan.difference(plan.asked(config), size, 0.1) == said


def test_where_nothing_fits_the_smallest_is_named():
    size, seconds = plan.choose(replace(CONFIG, study=replace(CONFIG.study, budget="1s")), lambda size: 9.0)
    assert (size.seeds, size.epochs, plan.rounds(size, 0.1), seconds) == (2, 10, 2, 9.0)


def test_a_cost_counts_what_is_trained_scored_and_done_once():
    timed = record(0, 1, images_per_second=100.0, images={"train": 100, "val": 30, "test": 10}, seconds=5.0)  # of 10 epochs
    assert graph.cost(replace(timed, seconds=14.0)).of(10) == pytest.approx(14.0), "it costs what it cost"
    more = graph.cost(replace(timed, seconds=14.0), {"train": 200, "val": 60, "test": 110})
    assert (more.epoch, more.once) == (pytest.approx(2.2), pytest.approx(3.0 + 1.0))


class Invented:
    """An experiment of rounds alone."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def rounds(self):
        return chain(self.config, "images", "32-true")


def test_finished_rounds_and_rounds_of_two_searches_cost_nothing():
    experiments = [Invented(one) for _, one in plan.searches(CONFIG, ["simple_cnn"], Size(1, 10, 0.37))]
    rounds, _ = unite(experiments)
    assert len(rounds) == 1 + 5 + 3
    costs = {rounds[0].family: Cost(3.0, 2.0)}
    assert estimate.seconds(experiments, [], costs) == 9 * 23
    done = [replace(record(0, 0), key=r.key) for r in rounds[:2]]
    assert estimate.seconds(experiments, done, costs) == 7 * 23


def test_a_row_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match="3 with model=resnet18"):
        plan.row(replace(CONFIG, data=replace(CONFIG.data, channels=1)), "resnet18:head")
