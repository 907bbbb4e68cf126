"""Device, precision, time and memory."""

import platform

import pytest
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library is asked")
def test_freed_memory_is_kept_for_the_next_step():
    """Pages that come anew from the system are zeroed and counted, one fault each."""
    import resource  # not on Windows

    def faults():
        for _ in range(5):
            [torch.ones(2**21) for _ in range(10)]  # 80 MB, 20,480 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    devices.keep_freed_memory()
    faults()
    before = faults()
    assert faults() - before < 2048
