"""How a run ends."""

import io
import sys
from unittest import mock

import pytest
import torch

import texture_diffusion as td
from texture_diffusion_tools.running import exit_codes
from texture_diffusion_tools.running.errors import UserError


def test_a_memory_that_is_full_is_one_sentence(trained, monkeypatch):
    monkeypatch.setattr(td.forecasts, "announce", lambda *args: torch.empty(10**15))
    result = trained(EPOCHS=3)
    assert result.code == 1 and len(result.err.splitlines()) == 1 and "BATCH_SIZE" in result.err


@pytest.mark.parametrize("text", [  # as torch and others write them
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried",
    "[enforce fail at ..\\c10\\core\\impl\\alloc_cpu.cpp:72] data. DefaultCPUAllocator: not enough memory: you tried",
    "MPS backend out of memory (MPS allocated: 7.23 GB, other allocations: 1.54 GB, max allowed: 9.07 GB). Tried to",
    "Invalid buffer size: 24.00 GB", "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA out of memory. Tried to allocate"])
@pytest.mark.parametrize("kind", [RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)])
def test_a_memory_that_is_full_is_known_on_every_system(text, kind):
    code, sentence = exit_codes.foreseen(kind(text))
    assert code == 1 and "memory is full" in sentence and "BATCH_SIZE" in sentence


@pytest.mark.parametrize("kind", [RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)])
def test_a_gpu_that_fails_is_one_sentence(kind):
    code, sentence = exit_codes.foreseen(kind("CUDA error: an illegal memory access was encountered\nCUDA kernel"))
    assert code == 1 and sentence == ("the GPU failed (CUDA error: an illegal memory access was encountered); "
                                      "the same command goes on from the last checkpoint, with DEVICE=cpu without it")
    assert exit_codes.foreseen(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


# What is printed


def printed(work):
    """Call work() with the streams of a redirected run on Windows, which know the letters of western Europe alone;
    returns what it returned or ended with, and what went to stdout and stderr."""
    streams = [io.TextIOWrapper(io.BytesIO(), "cp1252", newline="\n") for _ in range(2)]
    with mock.patch("sys.stdout", streams[0]), mock.patch("sys.stderr", streams[1]):
        try:
            code = work()
        except SystemExit as end:
            code = end.code
    for stream in streams:
        stream.flush()
    return code, *(stream.buffer.getvalue().decode("cp1252") for stream in streams)


def test_letters_that_the_output_does_not_know_are_printed_as_escapes():
    def main():
        print("output: samples/石.png")
        print("warning: 石.png is grün", file=sys.stderr)

    assert printed(lambda: exit_codes.run(main)) == \
        (0, "output: samples/\\u77f3.png\n", "warning: \\u77f3.png is grün\n")


def test_so_is_a_sentence_that_ends_a_run():
    def main():
        raise UserError("there is no photo at 石.png")

    code, _, err = printed(lambda: exit_codes.run(main))
    assert code == 2 and err.endswith("there is no photo at \\u77f3.png\n")


def test_so_is_a_word_that_is_not_understood_before_anything_is_imported(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["texture_diffusion.py", "photo.png", "石=1"])
    code, _, err = printed(lambda: exit_codes.foresee(td.__file__))
    assert code == 2 and "\\u77f3=1 is not understood" in err


def test_an_output_that_is_no_text_file_is_left_as_it_is():
    def main():
        pass

    with mock.patch("sys.stderr", None):  # pythonw, without a console
        assert exit_codes.run(main) == 0
