"""The nodes for ComfyUI, against small stand-ins for what they use of it."""

import asyncio
import importlib.util
import json
import re
import sys
from pathlib import Path
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
    colours = [x if x.ndim == 3 else np.stack([x] * 3, 2) for x in pictures]
    return torch.from_numpy(np.stack(colours)) / np.float32(255)


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
    alone = td.learn(PHOTO, EPOCHS=1).draw(OUTPUT_SIZE=(96, 64), TILEABLE="xy", SEED=1)
    assert torch.equal(drawn[0], batch(alone)[0])
    assert (drawn[1] == drawn[1, ..., :1]).all() and (drawn[0] != drawn[0, ..., :1]).any()


def test_another_seed_draws_another_texture_with_the_same_model(comfy):
    first, = comfy.run("Texture", image=batch(PHOTO), **SIZE)
    second, = comfy.run("Texture", image=batch(PHOTO), **{**SIZE, "seed": 2})
    assert len(comfy.learned) == 1 and not torch.equal(first, second)


def test_models_are_kept_by_pixels_and_constants_and_the_one_used_longest_ago_goes_first(comfy, monkeypatch):
    learned = []

    def learn(source, on_progress, **changes):
        learned.append((int(source["color"][0, 0]), changes["EPOCHS"]))
        return SimpleNamespace(notes=[])

    monkeypatch.setattr(td, "learn", learn)
    models = comfy.pack.tool.Models(2)
    for number, epochs in [(1, 5), (1, 5), (2, 5), (1, 5), (3, 5), (1, 5), (2, 5), (2, 6), (2, 5)]:
        models.learned({"color": np.full((2, 2), number, np.uint8)}, None, EPOCHS=epochs)
    assert learned == [(1, 5), (2, 5), (3, 5), (2, 5), (2, 6)]


def test_a_mask_keeps_its_part_of_the_picture_out_whatever_its_size_and_a_black_one_none(comfy):
    marked = PHOTO.copy()
    marked[20:32, 30:44] = 255, 0, 0
    drawn, = comfy.run("Texture", image=batch(marked), mask=masks(HEIGHT * 2, WIDTH * 2), **SIZE)
    plain, = comfy.run("Texture", image=batch(marked), mask=torch.zeros(1, 64, 64), **SIZE)
    reds = [int(((x[..., 0] > 0.95) & (x[..., 1] < 0.1)).sum()) for x in (drawn, plain)]
    assert reds[0] == 0 < reds[1]
    assert "MASK" in comfy.learned[0] and "MASK" not in comfy.learned[1]


@pytest.mark.slow
def test_a_guide_of_any_size_is_followed(comfy):
    ramp = torch.linspace(0, 1, 40)[None, None, :, None].expand(1, 30, 40, 3)
    one, = comfy.run("Texture", image=batch(PHOTO), guide=ramp, **SIZE)
    other, = comfy.run("Texture", image=batch(PHOTO), guide=ramp.flip(2), **SIZE)
    assert one.shape == other.shape == (1, 64, 96, 3) and not torch.equal(one, other)


def test_a_guide_is_cropped_in_the_middle(comfy):
    guide = torch.zeros(300, 400, 3)
    guide[:, 150:250] = 1
    cropped = comfy.pack.pictures.guide_of(guide, 100, 300)
    assert cropped.shape == (300, 100, 3) and (cropped == 255).all()
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
    maps = {"color": batch(PHOTO, PHOTO[::-1]), "displacement": heights, "metallic": torch.full_like(heights[:1], 0.2)}
    drawn = dict(zip(comfy.pack.nodes.MAPS, comfy.run("Material", **maps, **SIZE)))
    assert {name for name, x in drawn.items() if not isinstance(x, Blocker)} == maps.keys()
    assert all(drawn[name].shape == (2, 64, 96, 3) for name in maps)
    assert (drawn["metallic"] == drawn["metallic"][0, 0, 0, 0]).all()
    assert len(drawn["displacement"].unique()) > 256


@pytest.mark.slow
def test_a_material_of_one_map_comes_out_as_that(comfy):
    drawn = comfy.run("Material", color=batch(PHOTO), **SIZE)
    assert drawn[0].shape == (1, 64, 96, 3) and all(isinstance(x, Blocker) for x in drawn[1:])


def test_the_progress_bar_never_goes_back_and_ends_full(comfy):
    comfy.run("Texture", image=batch(PHOTO), mask=masks(), **SIZE)
    assert Bar.shown == sorted(Bar.shown) and Bar.shown[0] < 0.1 and Bar.shown[-1] == 1 and len(set(Bar.shown)) > 3


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


def told(one):
    """An input of V3 as V1 has it."""
    options = {name: value for name, value in one.options.items() if name != "options"}
    return one.options.get("options", one.kind), options


def test_v3_and_v1_say_the_same_and_v3_is_given_where_it_is_known(everything, monkeypatch):
    new, old = everything[0], loaded(monkeypatch, v3=False)[0]
    assert not hasattr(old, "comfy_entrypoint")
    assert old.NODE_DISPLAY_NAME_MAPPINGS == new.NODE_DISPLAY_NAME_MAPPINGS
    for name, node in old.NODE_CLASS_MAPPINGS.items():
        schema, groups = new.NODE_CLASS_MAPPINGS[name].define_schema(), node.INPUT_TYPES()
        assert (schema.node_id, schema.display_name) == (name, new.NODE_DISPLAY_NAME_MAPPINGS[name])
        for group, optional in [("required", False), ("optional", True)]:
            assert groups[group] == {one.id: told(one) for one in schema.inputs if one.optional == optional}
        assert node.RETURN_NAMES == tuple(one.display_name for one in schema.outputs)
        assert node.RETURN_TYPES == tuple(one.kind for one in schema.outputs)
    assert asyncio.run(asyncio.run(new.comfy_entrypoint()).get_node_list()) == list(new.NODE_CLASS_MAPPINGS.values())


def test_a_node_of_v1_executes_what_that_of_v3_does(comfy, monkeypatch):
    node = loaded(monkeypatch, v3=False)[0].NODE_CLASS_MAPPINGS["TextureDiffusionRepair"]()
    image, mask = batch(PHOTO), masks()
    repaired, = getattr(node, node.FUNCTION)(image=image, mask=mask, seed=0, epochs=0)
    assert torch.equal(repaired[mask == 0], image[mask == 0]) and not torch.equal(repaired, image)


def test_the_tool_is_found_beside_the_folder_and_the_path_is_left_as_it_was(comfy, monkeypatch):
    outside = [folder for folder in sys.path if Path(folder).resolve() != ROOT]
    monkeypatch.setattr(sys, "path", list(outside))
    monkeypatch.delitem(sys.modules, "texture_diffusion")
    assert comfy.pack.tool.found().learn and sys.path == outside


def test_a_folder_without_the_tool_says_so_in_one_sentence(comfy, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "texture_diffusion")
    monkeypatch.setattr(comfy.pack.tool, "HOME", tmp_path)
    with pytest.raises(ImportError, match="link the folder comfyui") as caught:
        comfy.pack.tool.found()
    assert len(str(caught.value).splitlines()) == 1 and str(tmp_path) in str(caught.value)


def test_no_folder_of_the_repository_is_imported_in_place_of_comfyui_s_own():
    for name in ("comfy", "comfy_api", "comfy_execution", "nodes", "server", "execution", "utils", "app"):
        assert not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists(), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_only_nodes_sockets_and_widgets_that_exist(everything, path):
    flow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in flow["nodes"]}
    assert flow["last_node_id"] == max(nodes) and flow["last_link_id"] == len(flow["links"])
    for node in flow["nodes"]:
        inputs, widgets, outputs = known(node["type"], everything[0])
        assert [one["name"] for one in node["inputs"]] == inputs + widgets
        assert [one["name"] for one in node["outputs"]] == outputs
        values = len(widgets) + ("seed" in widgets)  # what becomes of the seed afterwards is a widget, too
        assert len(node["widgets_values"]) == values
    for link, start, out, end, into, kind in flow["links"]:
        source, target = nodes[start]["outputs"][out], nodes[end]["inputs"][into]
        assert link in source["links"] and target["link"] == link and source["type"] == target["type"] == kind
    assert sum(one["link"] is not None for node in flow["nodes"] for one in node["inputs"]) == len(flow["links"])


def known(name, pack):
    """The inputs, widgets and outputs of a node, by their names, in the order in which the editor saves them."""
    if name in OTHERS:
        return OTHERS[name]
    schema = pack.NODE_CLASS_MAPPINGS[name].define_schema()
    sockets = [one.id for one in schema.inputs if one.kind in ("IMAGE", "MASK")]
    widgets = [one.id for one in schema.inputs if one.id not in sockets]
    return sockets, widgets, [one.display_name for one in schema.outputs]


def test_there_are_two_workflows_with_a_node_of_ours_each():
    assert [path.stem for path in WORKFLOWS] == ["material_from_maps", "texture_from_picture"]
    assert all('"TextureDiffusion' in path.read_text(encoding="utf-8") for path in WORKFLOWS)


def test_the_metadata_are_those_of_the_tool_and_name_no_publisher():
    data = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))
    assert data["project"]["version"] == texture_diffusion_tools.__version__
    assert sorted(data["project"]["dependencies"]) == sorted(requirements("requirements.txt"))
    assert re.fullmatch(r"[a-z][a-z0-9-]{2,99}", data["project"]["name"])
    assert data["tool"]["comfy"]["PublisherId"] == "" and data["tool"]["comfy"]["DisplayName"]
