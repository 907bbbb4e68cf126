"""Seeds, checkpoints, atomic writes and stop signals."""

import pickle
import signal
import zipfile
from itertools import product
from pathlib import Path

import pytest
import torch
from conftest import constants, draw_photo, make_trainer

import texture_diffusion as td


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half of the n")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        td.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_failed_run_that_names_the_file(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(td.RunError, match="model.pt.*No space left"):
        td.write_atomically(tmp_path / "model.pt", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_write_replaces_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    td.write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path, photo):
    trainer = make_trainer(photo, validation=1)
    trainer.plan(3)
    list(trainer.steps())
    trainer.curve.append([3, 0.5, None])
    saved = {"format": td.CHECKPOINT_FORMAT, "constants": {"WIDTHS": (8, 16)}, **trainer.state()}
    td.save_checkpoint(tmp_path / "model.pt", saved)
    state = td.load_checkpoint(tmp_path / "model.pt")
    assert state.keys() == saved.keys()
    for name in ("step", "start", "end", "seed", "curve", "constants"):
        assert state[name] == saved[name]
    for name in ("net", "ema"):
        assert all(torch.equal(state[name][key], value) for key, value in saved[name].items())


def whole_checkpoint(path, photo):
    td.save_checkpoint(path, {"format": td.CHECKPOINT_FORMAT, **make_trainer(photo).state()})
    return path.read_bytes()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_the_user_s_to_put_right(tmp_path, photo, part):
    path = tmp_path / "model.pt"
    content = whole_checkpoint(path, photo)
    path.write_bytes(content[:int(len(content) * part)])
    with pytest.raises(td.UserError, match="model.pt"):
        td.load_checkpoint(path)


def zipped(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("holiday.txt", "sun")


FOREIGN = {
    "text": lambda path: path.write_text("not a model"),
    "zip": zipped,
    "list": lambda path: torch.save([1, 2], path),
    "tensor": lambda path: torch.save(torch.zeros(3), path),
    "weights alone": lambda path: torch.save({"conv.weight": torch.zeros(3)}, path),
    "other format": lambda path: torch.save({"format": 999}, path),
    "whole module": lambda path: torch.save(torch.nn.Linear(2, 2), path),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_the_user_s_to_put_right(tmp_path, kind):
    FOREIGN[kind](tmp_path / "model.pt")
    with pytest.raises(td.UserError, match="model.pt") as refusal:
        td.load_checkpoint(tmp_path / "model.pt")
    assert "\n" not in str(refusal.value)


class Trap:
    """Unpickled, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_loading_a_checkpoint_runs_no_code_from_it(tmp_path, save):
    save({"format": td.CHECKPOINT_FORMAT, "trap": Trap(tmp_path / "sprung")}, tmp_path / "model.pt")
    with pytest.raises(td.UserError):
        td.load_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "sprung").exists()


def test_random_numbers_are_keyed_by_purpose_and_place():
    keys = list(product((0, 1, 7), (td.TRAINING, td.DRAWING), (0, 1), (0, 1, 2)))
    first = {key: torch.randn(4, generator=td.torch_generator(*key)) for key in keys}
    assert len({tuple(numbers.tolist()) for numbers in first.values()}) == len(keys)
    for key, numbers in first.items():
        assert torch.equal(torch.randn(4, generator=td.torch_generator(*key)), numbers)


def test_every_purpose_has_a_number_of_its_own():
    purposes = [td.INITIAL, td.TRAINING, td.VALIDATING, td.LAYOUT_CHOICE, td.DRAWING, td.SHOWING]
    assert len(set(purposes)) == len(purposes)
    assert min(purposes) >= 1


def test_checkpoints_put_aside_never_meet(tmp_path):
    path = tmp_path / "model.pt"
    for content in (b"first", b"second", b"third"):
        path.write_bytes(content)
        td.put_aside(path)
    assert not path.exists()
    assert sorted(file.read_bytes() for file in tmp_path.iterdir()) == [b"first", b"second", b"third"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_only_noted_and_the_handler_given_back(number):
    before = signal.getsignal(number)
    with td.StopSignals() as stop:
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_without_a_signal_the_handlers_are_given_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError), td.StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise ValueError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_interrupt_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), td.StopSignals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_from_before_augment_was_trained_without_it_and_one_without_a_tile_size_fits_nothing():
    photo, now = draw_photo(54, 70), vars(constants("TILE_SIZE=16", "WIDTHS=(8,16)"))
    old = {name: now[name] for name in td.NETWORK_CONSTANTS + td.TRAINING_CONSTANTS if name != "AUGMENT"}
    state = {"digest": photo.digest, "size": (54, 70), "constants": old}
    assert td.check_checkpoint("a.pt", state, now, photo, training=True) == []
    with pytest.raises(td.UserError, match="AUGMENT is flips here and none"):
        td.check_checkpoint("a.pt", state, {**now, "AUGMENT": "flips"}, photo, training=True)
    del old["TILE_SIZE"]
    with pytest.raises(td.UserError, match="TILE_SIZE is 16 here and None"):
        td.check_checkpoint("a.pt", state, now, photo, training=False)
