"""Device, precision, time and memory."""

import contextlib
import functools
import warnings
from types import SimpleNamespace

import pytest
import torch
from conftest import assert_refused, draw_photo, make_sampler, make_trainer, random_net, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from texture_diffusion_tools.running import devices, processes, trials
from texture_diffusion_tools.running.errors import UserError

PICK_DEVICE, EXPECTED = devices.pick_device, trials.expected
ON_THE_CPU = {"_linalg_eigh", "normal_", "argmax", "flip", "gather", "index_put_", "std", "cumsum",
              "min"}  # what is known of a photo, its mask, first weights
# what every device has, or is another name of what the trial asks for
SIMPLE = {"__and__", "_local_scalar_dense", "all", "any", "conv2d", "copy_", "detach_", "full", "full_like",
          "group_norm", "item", "linear", "new_empty", "new_ones", "ones", "outer", "pad", "repeat",
          "repeat_interleave", "select_backward", "set_"}


@pytest.fixture
def machine(monkeypatch):
    """A machine with GPUs that answer: machine(cuda=answer, ...), each a function of the CPU's answers that returns or
    raises what the GPU does. Returns the notes, and the layouts that were asked for."""
    seen = SimpleNamespace(notes=[], layouts=[])
    devices.problem_of.cache_clear()
    monkeypatch.setattr(trials, "expected", lambda: [torch.ones(3), torch.arange(4.0)])

    def build(**gpus):
        def answers(device, layout, autocast):
            seen.layouts.append((device.type, layout))
            return gpus[device.type](trials.expected())

        monkeypatch.setattr(trials, "answers", answers)
        monkeypatch.setattr(devices, "is_there", lambda kind: kind in gpus)
        seen.pick = functools.partial(PICK_DEVICE, say=seen.notes.append)
        return seen

    yield build
    devices.problem_of.cache_clear()


def right(answers):
    return [x * 1.001 for x in answers]


def wrong(answers):
    return [x.flip(0) for x in answers]


def failing(error):
    def fail(answers):
        raise error
    return fail


NO_KERNEL = torch.AcceleratorError if hasattr(torch, "AcceleratorError") else RuntimeError
FAILURES = {
    "wrong": wrong,
    "cpu was asked": lambda answers: [x * float("nan") for x in answers],
    "too old or too new": failing(NO_KERNEL("CUDA error: no kernel image is available for execution on the device\n")),
    "operator": failing(NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device.")),
    "memory is full": failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")),
    "float64": failing(TypeError("Cannot convert a MPS Tensor to float64 dtype")),
}


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_gpu_that_answers_as_the_cpu_does_is_taken(machine, kind):
    seen = machine(**{kind: right})
    assert seen.pick() == seen.pick(kind) == torch.device(kind) and seen.notes == []
    assert seen.pick("cpu") == devices.CPU
    assert seen.layouts == [(kind, torch.contiguous_format if kind == "mps" else torch.channels_last)]  # asked once


@pytest.mark.parametrize("words", FAILURES)
def test_a_gpu_that_fails_its_trial_is_one_sentence_and_the_cpu_or_if_it_was_named_refused(machine, monkeypatch, words):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GeForce GTX 680")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_120"])
    seen = machine(cuda=FAILURES[words])
    assert seen.pick() == devices.CPU and len(seen.notes) == 1
    assert seen.notes[0].startswith("note: cuda is not used: ") and words in seen.notes[0].lower()
    assert "\n" not in seen.notes[0]
    with pytest.raises(UserError, match="DEVICE is cuda, which cannot be used: .*DEVICE=auto"):
        seen.pick("cuda")


def test_the_next_gpu_is_tried_and_where_there_is_none_nothing_is_said(machine):
    seen = machine(cuda=wrong, xpu=right)
    assert seen.pick() == torch.device("xpu") and len(seen.notes) == 1
    devices.problem_of.cache_clear()
    assert machine().pick() == devices.CPU and len(seen.notes) == 1
    with pytest.raises(UserError, match="DEVICE is mps, .* finds none on this machine"):
        seen.pick("mps")


def test_a_driver_that_is_too_old_and_a_torch_for_the_cpu_beside_a_gpu_are_said(machine, monkeypatch):
    seen = machine()
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert seen.pick() == devices.CPU and "for the CPU alone" in seen.notes[0] and torch.__version__ in seen.notes[0]

    devices.problem_of.cache_clear()
    old = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).\nPlease update it."
    monkeypatch.setattr(devices, "is_there", lambda kind: kind == "cuda" and warnings.warn(old, stacklevel=1))
    assert seen.pick() == devices.CPU and "driver on your system is too old" in seen.notes[1]
    assert "\n" not in seen.notes[1]


def test_rocm_s_search_is_said_before_it_begins(machine, monkeypatch):
    seen = machine(cuda=lambda answers: answers if "ROCm" in seen.notes[0] else wrong(answers))
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert seen.pick() == torch.device("cuda") and len(seen.notes) == 1 and "minutes" in seen.notes[0]


def test_a_run_refuses_a_device_that_cannot_be_used_and_says_which_is_not(tool, machine, monkeypatch, capsys):
    machine(mps=wrong)
    monkeypatch.setattr(devices, "pick_device", PICK_DEVICE)
    assert_refused(tool("photo.png", "DEVICE=mps", *tiny()), "DEVICE is mps", "wrong", "DEVICE=auto")
    assert_refused(tool("photo.png", "DEVICE=gpu", *tiny()), "DEVICE is 'gpu'", "auto, cpu, cuda, xpu, mps")
    assert processes.ALONE.pick_device("auto") == devices.CPU
    assert capsys.readouterr().out.startswith("note: mps is not used: what it computes is wrong")


def test_the_trial_is_passed_by_the_cpu_itself_in_each_layout_and_precision():
    for layout in (torch.channels_last, torch.contiguous_format):
        assert trials.problem_with(devices.CPU, torch.float32, layout, contextlib.nullcontext) == ""
    assert devices.trial_of(devices.CPU, torch.bfloat16) == ""


@pytest.mark.parametrize("name", ["conv2d", "group_norm", "interpolate", "pixel_shuffle"])
def test_an_operator_that_computes_something_else_is_found(monkeypatch, name):
    expected, operator = EXPECTED(), getattr(torch.nn.functional, name)  # the CPU's, from before it is broken

    def broken(x, *args, **options):
        return operator(x, *args, **options).roll(1, -1)

    monkeypatch.setattr(torch.nn.functional, name, broken)
    assert trials.farthest(trials.answers(devices.CPU, torch.channels_last, contextlib.nullcontext()), expected) > 0.1


class Operators(TorchDispatchMode):
    """Names of the operators that compute: those that look at more than one number, and make no mere view."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if torch.Tag.pointwise not in function.tags and not function.is_view:
            self.seen.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_the_trial_asks_for_the_operators_of_training_and_drawing():
    with Operators() as asked:
        trainer = make_trainer(draw_photo(54, 70), validation=1)
        trainer.plan(8)
        trainer.train_step()
        trainer.validate()
        windows, present = trainer.dataset.examples(2, held_out=False)
        generators = [torch.Generator().manual_seed(k) for k in range(2)]
        draw = make_sampler(trainer.ema, draw_photo(54, 70), trainer.alphas_cumprod, "mixed", 4, 0.65)
        sketch = trainer.dataset.tiles_of(windows)
        list(draw(windows, present, generators, sketch, torch.ones(2, 1, 16, 16)))
    with Operators() as tried:
        trials.answers(devices.CPU, torch.channels_last, contextlib.nullcontext())
    missing = {name for name in asked.seen - tried.seen if not name.startswith("_record_function")}
    assert not missing - (ON_THE_CPU | SIMPLE)


def test_a_gpu_that_cannot_even_be_asked_for_bfloat16_computes_in_float32(monkeypatch):
    def autocast(*args):
        raise RuntimeError("Current CUDA Device does not support bfloat16.")

    monkeypatch.setattr(torch, "autocast", autocast)
    assert "does not support bfloat16" in devices.trial_of(torch.device("cuda"), torch.bfloat16)


def test_no_autocast_is_entered_in_float32(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: pytest.fail("autocast in float32"))
    net = random_net()
    net(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 48, 48), torch.ones(1, 8, dtype=torch.bool), torch.ones(1))
    with devices.autocast(torch.device("mps"), torch.float32):
        pass


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_gpu_is_waited_for_and_its_memory_asked_for(monkeypatch, kind):
    device, done, backend = torch.device(kind), [], getattr(torch, kind)
    monkeypatch.setattr(backend, "synchronize", lambda: done.append("waited"))
    devices.timed(lambda: done.append("worked"), device)
    assert done == ["worked", "waited"]
    counter = "driver_allocated_memory" if kind == "mps" else "max_memory_allocated"
    monkeypatch.setattr(backend, counter, lambda: 7)
    assert devices.peak_memory(device) == 7


def test_no_gpu_is_asked_where_the_cpu_computes(monkeypatch):
    """With DEVICE=cpu, or after a GPU failed its trial."""
    for kind in devices.GPUS:
        monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda: pytest.fail("waited for a GPU"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.timed(lambda: None) >= 0 and devices.peak_memory() != 7


def test_a_run_that_goes_on_keeps_its_precision(monkeypatch):
    """However the timing turns out by chance; another kind of machine may choose anew."""
    seconds = {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(devices, "timed", lambda work, device: seconds[work.__closure__[1].cell_contents.dtype])
    device = torch.device("cpu")
    for ratio, fresh, float32, bfloat16 in ((1.2, "float32", "float32", "bfloat16"),
                                            (1.3, "bfloat16", "float32", "bfloat16"),
                                            (0.5, "float32", "float32", "float32"),
                                            (3.0, "bfloat16", "bfloat16", "bfloat16")):
        seconds[torch.bfloat16] = 1 / ratio
        found = [str(devices.pick_precision(device, before)).removeprefix("torch.")
                 for before in (None, "float32", "bfloat16")]
        assert found == [fresh, float32, bfloat16], ratio


def test_a_gpu_computes_in_bfloat16_only_where_it_does_so_fast_and_rightly(machine, monkeypatch):
    for kind, hip, capability, gain, answer, found in (("cuda", None, (9, 0), 0, right, "bfloat16"),
                                                       ("cuda", None, (7, 5), 9, right, "float32"),
                                                       ("cuda", None, (9, 0), 9, wrong, "float32"),
                                                       ("cuda", "6.4", (9, 0), 1, right, "float32"),
                                                       ("xpu", None, None, 2, right, "bfloat16"),
                                                       ("mps", None, None, 9, right, "float32")):
        machine(**{kind: answer})
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        monkeypatch.setattr(devices, "bfloat16_gain", lambda device, gain=gain: gain)
        monkeypatch.setattr(devices, "autocast", lambda *args: contextlib.nullcontext())
        assert devices.pick_precision(torch.device(kind)) == getattr(torch, found), (kind, hip, capability)


class Two(processes.TorchrunGroup):
    """Two processes, without the other one; other: what that says of itself."""

    def __init__(self, gpu, other):
        self.gpu, self.rank, self.world_size, self.other = gpu, 0, 2, other

    def any(self, value):
        return bool(value) or self.other


def test_several_processes_compute_on_the_same_kind_of_device(machine, capsys, monkeypatch):
    machine(cuda=right)
    assert Two(gpu=True, other=False).pick_device("auto") == torch.device("cuda")
    assert capsys.readouterr().out == ""
    assert Two(gpu=True, other=True).pick_device("auto") == devices.CPU
    assert capsys.readouterr().out.startswith("note: not each of the 2 processes has a GPU")
    assert Two(gpu=True, other=False).pick_device("cpu") == devices.CPU
    with pytest.raises(UserError, match="start as many as there are GPUs"):
        Two(gpu=False, other=False).pick_device("cuda")
    with pytest.raises(UserError, match="without torchrun"):
        Two(gpu=False, other=False).pick_device("mps")
