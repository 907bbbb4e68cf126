"""How a run ends."""

import torch

import texture_diffusion as td


def test_a_memory_that_is_full_is_one_sentence(trained, monkeypatch):
    monkeypatch.setattr(td, "announce", lambda *args: torch.empty(10**15))
    result = trained(EPOCHS=3)
    assert result.code == 1 and len(result.err.splitlines()) == 1 and "BATCH_SIZE" in result.err
