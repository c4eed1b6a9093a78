"""``final=compact``: the file has the kept weights alone, and everything that reads it sees the same bits."""

import numpy as np
import pytest
import torch

from lth.errors import DataError
from lth.hashes import differing
from lth.invariants.verify import verify
from lth.pruning import masks as M
from lth.report.details import histogram
from lth.training.model import load_model
from lth.tree.files import read_tensors
from lth.tree.record import Found
from lth.tree.ticket import FINAL, Ticket, load_final, load_ticket, save_final, save_start, save_ticket
from tests.training import held, run


@pytest.mark.parametrize("retrain", ["rewind", "lr"])
def test_a_compact_chain_is_the_dense_one_in_fewer_bytes(make_config, tmp_path, retrain):
    both = {}
    for final in ("dense", "compact"):
        config = make_config(tmp_path / final, rounds=2, rate=0.6, final=final)
        both[final] = run(config, prune__retrain=retrain)
    assert [r.key for r in both["dense"]] == [r.key for r in both["compact"]], "it is in no key"
    for dense, compact in zip(both["dense"], both["compact"]):
        assert (compact.start, compact.early_stop_test_acc) == (dense.start, dense.early_stop_test_acc)
        assert not differing(load_final(compact.folder)[0], load_final(dense.folder)[0])
        assert not differing(load_ticket(compact.folder).masks, load_ticket(dense.folder).masks)
        assert not differing(load_model(compact.folder).state_dict(), load_model(dense.folder).state_dict())
        saved = (dense.folder / FINAL).stat().st_size - (compact.folder / FINAL).stat().st_size
        assert abs(saved - 4 * (dense.prunable - dense.kept)) < 1000
    assert held(both["compact"])
    assert verify(tmp_path / "compact", lambda line: None) == 0
    arms = {final: histogram("", [{0: records[-1]}] * 2, Found()).figures["weights"] for final, records in both.items()}
    for dense, compact in zip(arms["dense"].lines, arms["compact"].lines, strict=True):
        assert np.array_equal(dense.y, compact.y)


@pytest.fixture
def ticket(tmp_path):
    """A ticket in a folder, of a layer without a weight, too."""
    masks = {"a": torch.tensor([[True, False], [False, True]]), "b": torch.zeros(3, dtype=torch.bool)}
    ticket = Ticket(masks, {"a": torch.randn(2, 2), "b": torch.randn(3), "c": torch.randn(5)})
    save_ticket(tmp_path, ticket, save_start(tmp_path, ticket.rewind))
    return ticket


@pytest.mark.parametrize(("value", "compact"), [(0.0, True), (-0.0, False), (1e-30, False)])
def test_a_pruned_weight_that_is_not_zero_stays_in_the_file_where_its_check_sees_it(tmp_path, ticket, value, compact):
    weights = ticket.start
    weights["a"][0, 1] = value
    written = save_final(tmp_path, weights, ticket.masks, {"model": "x"}, compact=True)
    assert read_tensors(tmp_path / FINAL)[0]["a"].numel() == (2 if compact else 4)
    again, about = load_final(tmp_path)
    assert about == {"model": "x", "format": written}
    assert not differing(again, weights)
    assert M.revived(again, ticket.masks) == (value > 0)


def test_survivors_of_other_masks_are_refused(tmp_path, ticket):
    save_final(tmp_path, ticket.start, ticket.masks, {}, compact=True)
    ticket.masks["a"][0, 1] = True
    save_ticket(tmp_path, ticket, "0" * 16)
    with pytest.raises(DataError, match=r"final\.safetensors is damaged: it does not match the masks in ticket\.safetensors"):
        load_final(tmp_path)
