"""The operator of sparse linear layers in ``model.pt2``; import this file before ``torch.export.load``. Needs torch alone."""

import warnings

import torch
from torch import Tensor, nn


@torch.library.custom_op("lth::csr_linear", mutates_args=())
def csr_linear(x: Tensor, rows: Tensor, columns: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Return ``x @ weight.T + bias`` of a weight in compressed sparse rows.

    Args:
        x: (n, inputs).
        rows: int64 (outputs + 1), where each row of the weight begins in ``values``.
        columns: int64 (kept), of each value.
        values: (kept).
        bias: (outputs).
    """
    weight = _csr(rows, columns, values, x.shape[1])
    return torch.addmm(bias[:, None], weight, x.T.contiguous()).T.contiguous()


@csr_linear.register_fake
def _(x: Tensor, rows: Tensor, columns: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], rows.shape[0] - 1)


def _csr(rows: Tensor, columns: Tensor, values: Tensor, inputs: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|invariant)")
        return torch.sparse_csr_tensor(rows, columns, values, (len(rows) - 1, inputs), check_invariants=False)


class SparseLinear(nn.Module):
    """A linear layer, inputs (n, inputs) -> (n, outputs), that computes with its weights that are not zero alone."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach()
        kept = weight != 0
        bias = layer.bias.detach().clone() if layer.bias is not None else weight.new_zeros(len(weight))
        self.register_buffer("rows", torch.cat([torch.zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)]))
        self.register_buffer("columns", kept.nonzero()[:, 1].contiguous())
        self.register_buffer("values", weight[kept])
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        return csr_linear(x.flatten(0, -2), self.rows, self.columns, self.values, self.bias).unflatten(0, x.shape[:-1])
