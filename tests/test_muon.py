"""The optimizer of the kernels."""

import pytest
import torch
from conftest import make_trainer

from texture_diffusion_tools.learning import muon


@pytest.mark.parametrize("shape", [(16, 144), (24, 24), (48, 18)])
def test_orthogonalise_keeps_the_directions_and_equals_their_sizes(shape):
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.logspace(0, -1.5, min(shape))
    made = muon.orthogonalise(u * sizes @ v)
    inside = u.T @ made @ v.T
    assert (made - u @ inside @ v).norm() < 1e-3 * made.norm()  # nothing beside the span
    assert (inside - inside.diag().diag()).norm() < 1e-3 * made.norm()
    assert inside.diag().min() > 0.5 and inside.diag().max() < 1.4


def test_kernels_learn_rare_directions_as_fast_as_common_ones(photo):
    """A gradient that is 30 times as large for one output channel as for another moves both alike."""
    kernel = make_trainer(photo).net.down[0].conv2.weight
    before, kernel.grad = kernel.detach().clone(), torch.zeros_like(kernel)
    kernel.grad[0, 0, 1, 1], kernel.grad[1, 2, 0, 0] = 3.0, -0.1
    muon.Muon([kernel], 1e-3, 0.01, torch.float32).step()
    moved = kernel.detach() - before
    assert moved[0, 0, 1, 1] < 0 < moved[1, 2, 0, 0]
    assert 0.5 < -moved[0, 0, 1, 1] / moved[1, 2, 0, 0] < 2
