"""Seeds, atomic writes and stop signals."""

import signal
from itertools import product

import pytest
import torch

from texture_tools import files, seeds, signals
from texture_tools.errors import RunError


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half of the n")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        files.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_failed_run_that_names_the_file(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="model.pt.*No space left"):
        files.write_atomically(tmp_path / "model.pt", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_write_replaces_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    files.write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_random_numbers_are_keyed_by_purpose_and_place():
    keys = list(product((0, 1, 7), (seeds.TRAINING, seeds.DRAWING), (0, 1), (0, 1, 2)))
    first = {key: torch.randn(4, generator=seeds.torch_generator(*key)) for key in keys}
    assert len({tuple(numbers.tolist()) for numbers in first.values()}) == len(keys)
    for key, numbers in first.items():
        assert torch.equal(torch.randn(4, generator=seeds.torch_generator(*key)), numbers)


def test_every_purpose_has_a_number_of_its_own():
    purposes = [seeds.INITIAL, seeds.TRAINING, seeds.VALIDATING, seeds.LAYOUT_CHOICE, seeds.DRAWING, seeds.SHOWING]
    assert len(set(purposes)) == len(purposes)
    assert min(purposes) >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_only_noted_and_the_handler_given_back(number):
    before = signal.getsignal(number)
    with signals.StopSignals() as stop:
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_without_a_signal_the_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError), signals.StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise ValueError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_interrupt_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), signals.StopSignals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
