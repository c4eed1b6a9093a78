"""The operator of sparse linear layers in ``model.pt2``; import this file before ``torch.export.load``. Needs torch alone."""

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
    weight = torch.sparse_csr_tensor(rows, columns, values, (len(rows) - 1, x.shape[1]))
    return torch.addmm(bias[:, None], weight, x.T.contiguous()).T.contiguous()


@csr_linear.register_fake
def _(x: Tensor, rows: Tensor, columns: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], rows.shape[0] - 1)


class SparseLinear(nn.Module):
    """A linear layer, inputs (n, inputs) -> (n, outputs), that computes with its weights that are not zero alone."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().to_sparse_csr()
        bias = layer.bias.detach() if layer.bias is not None else weight.values().new_zeros(layer.out_features)
        for name, tensor in (("rows", weight.crow_indices()), ("columns", weight.col_indices())):
            self.register_buffer(name, tensor.long())
        self.register_buffer("values", weight.values().clone())
        self.register_buffer("bias", bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        return csr_linear(x, self.rows, self.columns, self.values, self.bias)
