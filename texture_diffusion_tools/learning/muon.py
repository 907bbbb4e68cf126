"""The optimizer of the convolutions' kernels."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

MOMENTUM = 0.95
STEP_SIZE = 0.8  # root mean square of the steps over the learning rate; AdamW's is about 0.2 to 0.4


class Muon(torch.optim.Optimizer):
    """For kernels of convolutions, each a matrix [c_out, c_in k k]: all singular values of its
    momentum become about 1, so that rare directions are learned as fast as common ones.

    (Jordan et al. 2024, kellerjordan.github.io/posts/muon; the step's size as in arXiv 2502.16982,
    eq. 4, so that AdamW's rates fit.)
    """

    def __init__(
        self, kernels: Iterable[Tensor], lr: float, weight_decay: float, precision: torch.dtype
    ) -> None:
        super().__init__(kernels, {"lr": lr, "weight_decay": weight_decay})
        self.precision = precision  # of the matrix products

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: no closure
        """One step by the kernels' gradients."""
        group = self.param_groups[0]
        rate, weight_decay = group["lr"], group["weight_decay"]

        for kernel in group["params"]:
            if not self.state[kernel]:
                self.state[kernel]["momentum"] = torch.zeros_like(kernel)
            momentum = self.state[kernel]["momentum"].lerp_(kernel.grad, 1 - MOMENTUM)

            # Nesterov's look ahead, as a matrix
            matrix = kernel.grad.lerp(momentum, MOMENTUM).flatten(1).to(self.precision)
            size = STEP_SIZE * max(matrix.shape) ** 0.5

            kernel.mul_(1 - rate * weight_decay)
            kernel.sub_(orthogonalise(matrix).view_as(kernel), alpha=rate * size)


def orthogonalise(x: Tensor) -> Tensor:
    """Nearly U V^T for x = U S V^T, [m, n], by three Newton-Schulz steps; singular values end up
    around 1.

    Each step is x <- polynomial(x x^T) x. Only the product of the polynomials is kept until the
    end: it is [m, m].
    """
    x = x / (x.norm() + 1e-7)
    gram, product = x @ x.T, torch.eye(len(x), dtype=x.dtype, device=x.device)

    for _ in range(3):
        square = product @ gram @ product
        polynomial = 2.0315 * square @ square - 4.775 * square
        product = 3.4445 * product + polynomial @ product

    return product @ x
