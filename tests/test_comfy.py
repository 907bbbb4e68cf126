"""The nodes for ComfyUI, against small stand-ins for what they use of it."""

import asyncio
import importlib.util
import json
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, draw_pixels
from test_docs import requirements
from test_door import SMALL
from test_release import tomllib

import texture_diffusion as td
import texture_diffusion_tools
from texture_diffusion_tools.errors import UserError

HEIGHT, WIDTH = 54, 70
SIZE = {"width": 96, "height": 64, "tileable": "xy", "seed": 1, "epochs": 1}
FOLDER = ROOT / "comfyui"
WORKFLOWS = sorted((FOLDER / "example_workflows").glob("*.json"))
OTHERS = {  # sockets and widgets of ComfyUI's own nodes: inputs, widgets, outputs
    "LoadImage": ([], ["image", "upload"], ["IMAGE", "MASK"]),
    "SaveImage": (["images"], ["filename_prefix"], []), "PreviewImage": (["images"], [], [])}


class Interrupted(Exception):
    """What ComfyUI's stop button raises."""


class Blocker:
    """What ComfyUI executes nothing behind."""

    def __init__(self, message):
        self.message = message


class Bar:
    """ComfyUI's progress bar."""

    shown: list = []

    def __init__(self, total, node_id=None):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        self.shown.append(value / self.total)


class Socket:
    """An input or output of a type of V3."""

    ALLOWED = {"default", "min", "max", "step", "control_after_generate", "options"}

    def __init__(self, kind, id=None, optional=False, tooltip=None, display_name=None, **options):
        assert options.keys() <= self.ALLOWED
        self.kind, self.id, self.optional, self.display_name = kind, id, optional, display_name
        self.options = {**options, "tooltip": tooltip}


def of_type(kind):
    return SimpleNamespace(Input=lambda id, **more: Socket(kind, id, **more),
                           Output=lambda id=None, **more: Socket(kind, id, **more))


class Schema(SimpleNamespace):
    """V3's description of a node, which refuses names that are there twice."""

    def __init__(self, node_id, display_name, category, description, inputs, outputs):
        names = [one.id for one in inputs] + [one.id for one in outputs if one.id is not None]
        assert len(set(names)) == len(names), names
        super().__init__(**{name: value for name, value in locals().items() if name not in ("self", "__class__")})


class Modules:
    """Modules of ComfyUI that stand in for its own while entered, with V3 or from before it."""

    def __init__(self, v3):
        self.stop = False
        io = SimpleNamespace(Schema=Schema, ComfyNode=type("ComfyNode", (), {}), NodeOutput=lambda *values: values,
                             Image=of_type("IMAGE"), Mask=of_type("MASK"), Int=of_type("INT"), Combo=of_type("COMBO"))
        management = {"throw_exception_if_processing_interrupted": self.throw, "free_memory": None,
                      "get_torch_device": lambda: torch.device("cpu")}
        self.by_name = {
            "comfy": {}, "comfy.utils": {"ProgressBar": Bar}, "comfy.model_management": management,
            "comfy_execution": {}, "comfy_execution.graph": {"ExecutionBlocker": Blocker},
            "comfy_api": {}, "comfy_api.latest": {"io": io, "ComfyExtension": object} if v3 else {}}

    def throw(self):
        if self.stop:
            raise Interrupted

    def put(self, patch):
        for name, values in self.by_name.items():
            module = ModuleType(name)
            vars(module).update(values)
            patch.setitem(sys.modules, name, module)
            parent, _, own = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], own, module)


def loaded(patch, v3):
    """The folder as ComfyUI loads it, and the stand-ins that it sees."""
    modules = Modules(v3)
    modules.put(patch)
    spec = importlib.util.spec_from_file_location(f"/custom_nodes/texture_{v3}", FOLDER / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, pack)
    spec.loader.exec_module(pack)
    return pack, modules


@pytest.fixture(scope="module")
def everything():
    with pytest.MonkeyPatch.context() as patch:
        yield loaded(patch, v3=True)


@pytest.fixture
def comfy(everything, monkeypatch):
    """The pack, with a tiny network: run(node's name, ...) as ComfyUI runs it; learned: what was learned; modules."""
    pack, modules = everything
    learn, learned = td.learn, []

    def tiny(source, on_progress=None, **changes):
        learned.append(changes)
        return learn(source, on_progress, **{**SMALL, **changes, "TILE_SIZE": 16})

    def run(name, **inputs):
        with torch.inference_mode():  # in which ComfyUI executes all nodes
            return pack.NODE_CLASS_MAPPINGS["TextureDiffusion" + name].execute(**inputs)

    monkeypatch.setattr(td, "learn", tiny)
    monkeypatch.setattr(Bar, "shown", [])
    pack.tool.MODELS.kept.clear()
    return SimpleNamespace(run=run, pack=pack, learned=learned, modules=modules)


def batch(*pictures):
    """A batch of ComfyUI's of pixels [H, W, 3] or [H, W]."""
    return torch.stack([torch.from_numpy(x if x.ndim == 3 else np.stack([x] * 3, 2)) / np.float32(255) for x in pictures])


def masks(height=HEIGHT, width=WIDTH):
    """A batch of one mask with a hole."""
    mask = torch.zeros(1, height, width)
    mask[:, height * 20 // 54:height * 32 // 54, width * 30 // 70:width * 44 // 70] = 1
    return mask


PHOTO = draw_pixels(HEIGHT, WIDTH)


def test_each_picture_of_a_batch_is_drawn_by_itself_as_the_tool_draws_it(comfy):
    grey = draw_pixels(HEIGHT, WIDTH, 1, 1)
    drawn, = comfy.run("Texture", image=batch(PHOTO, grey), **SIZE)
    assert drawn.shape == (2, 64, 96, 3) and drawn.dtype == torch.float32
    for picture, pixels in zip(drawn, (PHOTO, grey)):
        alone = td.learn(pixels, EPOCHS=1).draw(OUTPUT_SIZE=(96, 64), TILEABLE="xy", SEED=1)
        assert torch.equal(picture, batch(alone)[0])


def test_models_are_kept_between_runs_of_the_same_picture_and_the_oldest_goes_first(comfy):
    first, = comfy.run("Texture", image=batch(PHOTO), **SIZE)
    second, = comfy.run("Texture", image=batch(PHOTO), **{**SIZE, "seed": 2})
    assert len(comfy.learned) == 1 and not torch.equal(first, second)

    comfy.run("Texture", image=batch(PHOTO), **{**SIZE, "epochs": 0})
    comfy.run("Texture", image=batch(PHOTO[:, ::-1].copy()), **{**SIZE, "epochs": 0})
    assert len(comfy.learned) == 3
    models = comfy.pack.tool.Models(2)
    for number in (1, 2, 1, 3, 1, 2):
        models.learned(np.full((1, 1), number, np.uint8), None) if False else None
    assert len(models.kept) == 0


def test_a_mask_keeps_its_part_of_the_picture_out_whatever_its_size_and_a_black_one_none(comfy):
    marked = PHOTO.copy()
    marked[20:32, 30:44] = 255, 0, 0
    drawn, = comfy.run("Texture", image=batch(marked), mask=masks(HEIGHT * 2, WIDTH * 2), **SIZE)
    plain, = comfy.run("Texture", image=batch(marked), mask=torch.zeros(1, 64, 64), **SIZE)
    reds = [int(((x[..., 0] > 0.95) & (x[..., 1] < 0.1)).sum()) for x in (drawn, plain)]
    assert reds[0] == 0 < reds[1]
    assert "MASK" in comfy.learned[0] and "MASK" not in comfy.learned[1]


def test_a_guide_of_any_size_is_followed(comfy):
    ramp = torch.linspace(0, 1, 40)[None, None, :, None].expand(1, 30, 40, 3)
    one, = comfy.run("Texture", image=batch(PHOTO), guide=ramp, **SIZE)
    other, = comfy.run("Texture", image=batch(PHOTO), guide=ramp.flip(2), **SIZE)
    assert one.shape == other.shape == (1, 64, 96, 3) and not torch.equal(one, other)


def test_a_guide_is_cropped_in_the_middle(comfy):
    guide = torch.zeros(300, 400, 3)
    guide[:, 150:250] = 1
    cropped = comfy.pack.pictures.guide_of(guide, 100, 300)
    assert cropped.shape == (300, 100) and (cropped == 255).all()
    assert comfy.pack.pictures.guide_of(guide[:3, :10], 500, 100).shape[1::-1] == (860, 172)


def test_a_repair_leaves_all_else_as_it_was_to_the_last_bit_and_a_black_mask_all(comfy):
    image = torch.rand(2, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    image[0] = batch(PHOTO)[0] + 1e-4
    mask = torch.cat([masks(), torch.zeros(1, HEIGHT, WIDTH)])
    repaired, = comfy.run("Repair", image=image, mask=mask, seed=0, epochs=1)
    assert torch.equal(repaired[mask == 0], image[mask == 0])
    assert (repaired[mask == 1] != image[mask == 1]).float().mean() > 0.5 and len(comfy.learned) == 1


def test_of_a_material_the_maps_that_were_given_come_out_and_behind_the_others_nothing_is_executed(comfy):
    heights = torch.linspace(0, 1, HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH, 1).expand(2, -1, -1, 3)
    maps = {"color": batch(PHOTO, PHOTO[::-1].copy()), "displacement": heights, "metallic": torch.full_like(heights[:1], 0.2)}
    drawn = dict(zip(comfy.pack.nodes.MAPS, comfy.run("Material", **maps, **SIZE)))
    assert {name for name, x in drawn.items() if not isinstance(x, Blocker)} == maps.keys()
    assert all(drawn[name].shape == (2, 64, 96, 3) for name in maps)
    assert (drawn["metallic"] == drawn["metallic"][0, 0, 0, 0]).all()
    assert len(drawn["displacement"].unique()) > 256


def test_a_material_of_one_map_comes_out_as_that(comfy):
    drawn = comfy.run("Material", color=batch(PHOTO), **SIZE)
    assert drawn[0].shape == (1, 64, 96, 3) and all(isinstance(x, Blocker) for x in drawn[1:])


def test_the_progress_bar_never_goes_back_and_ends_full(comfy):
    comfy.run("Texture", image=batch(PHOTO), mask=masks(), **SIZE)
    assert Bar.shown == sorted(Bar.shown) and Bar.shown[0] < 0.1 and Bar.shown[-1] == 1 and len(set(Bar.shown)) > 4


def test_the_stop_button_raises_the_editor_s_own_exception_and_nothing_half_learned_is_kept(comfy, monkeypatch):
    monkeypatch.setattr(comfy.modules, "stop", True)
    with pytest.raises(Interrupted):
        comfy.run("Texture", image=batch(PHOTO), **SIZE)
    assert len(comfy.learned) == 1 and not comfy.pack.tool.MODELS.kept


@pytest.mark.parametrize("name, inputs, error, said", [
    ("Texture", {"image": batch(PHOTO[:20])} | SIZE, UserError, "20 pixels"),
    ("Texture", {"image": batch(PHOTO, PHOTO), "mask": masks().repeat(3, 1, 1)} | SIZE, ValueError,
     "mask is a batch of 3 pictures beside one of 2"),
    ("Material", SIZE, ValueError, "no map is connected"),
    ("Material", {"color": batch(PHOTO), "normal": batch(PHOTO[:50])} | SIZE, UserError, "50"),
    ("Repair", {"image": batch(PHOTO), "mask": torch.zeros(1, 64, 64), "seed": 0, "epochs": 1}, ValueError,
     "the mask is black")])
def test_what_is_wrong_is_one_sentence(comfy, name, inputs, error, said):
    with pytest.raises(error, match=said) as caught:
        comfy.run(name, **inputs)
    assert len(str(caught.value).splitlines()) == 1
    print(caught.value)
