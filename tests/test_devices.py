"""Device, precision, time and memory."""

import torch

from texture_tools import devices


def test_a_run_that_goes_on_keeps_its_precision(monkeypatch):
    """However the timing turns out by chance; another kind of machine may choose anew."""
    seconds = {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(devices, "timed", lambda work: seconds[work.__closure__[1].cell_contents.dtype])
    device = torch.device("cpu")
    for ratio, fresh, float32, bfloat16 in ((1.2, "float32", "float32", "bfloat16"),
                                            (1.3, "bfloat16", "float32", "bfloat16"),
                                            (0.5, "float32", "float32", "float32"),
                                            (3.0, "bfloat16", "bfloat16", "bfloat16")):
        seconds[torch.bfloat16] = 1 / ratio
        found = [str(devices.pick_precision(device, before)).removeprefix("torch.")
                 for before in (None, "float32", "bfloat16")]
        assert found == [fresh, float32, bfloat16], ratio
