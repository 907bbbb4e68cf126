"""EXPORT: what other programs' own libraries find in the files of a material, map by map and number by number."""

import json
import re
import runpy
import struct
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import imagecodecs
import numpy as np
import pytest
from conftest import ROOT, assert_refused, constants_of, draw_photo, draw_pixels, figures, tiny
from PIL import Image

import texture_diffusion as td
from texture_diffusion_tools.reading import channels, materials, photos
from texture_diffusion_tools.running import constants, files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import exports, png, slots

HEIGHT, WIDTH = 24, 32
NEAR = 1.01 / 255  # numbers that are read are those that were drawn, but for a level
COLOUR, GLOW = (draw_pixels(HEIGHT, WIDTH, seed) for seed in (1, 2))
ONE, TWO, THREE, FOUR = (draw_pixels(HEIGHT, WIDTH, seed, channels=1) for seed in (3, 4, 5, 6))
DEEP = draw_pixels(HEIGHT, WIDTH, 7, channels=1).astype(np.uint16) * 250 + 77
HOLES = np.where(ONE > 120, 255, 0).astype(np.uint8)


def bent(down=False):
    """Normals as pixels, uint8 [H, W, 3], whose green points down or up."""
    y, x = np.random.default_rng(8).uniform(-0.6, 0.6, (2, HEIGHT, WIDTH))
    normals = np.stack([x, -y if down else y, np.sqrt(1 - x**2 - y**2)], 2)
    return ((normals + 1) * 127.5).round().astype(np.uint8)


def inverse(pixels):
    return 255 - pixels


# by name: the files {name: pixels} of a material, or the pixels of a photo; what each slot then has to hold
MATERIALS = {
    "photo": (COLOUR, {"colour": COLOUR}),
    "grey": (DEEP, {"colour": np.dstack([DEEP] * 3)}),
    "leaf": (np.dstack([COLOUR, HOLES]), {"colour": COLOUR, "opacity": HOLES}),
    "packed": ({"Wall_Color": COLOUR, "Wall_NormalGL": bent(), "Wall_Height": DEEP,
                "Wall_ORM": np.dstack([ONE, TWO, THREE])},
               {"colour": COLOUR, "normal": bent(), "height": DEEP, "occlusion": ONE, "roughness": TWO,
                "metal": THREE}),
    "single": ({"Lamp_BaseColor": COLOUR, "Lamp_NormalDX": bent(down=True), "Lamp_Gloss": ONE, "Lamp_Metalness": TWO,
                "Lamp_Emissive": GLOW, "Lamp_Opacity": THREE, "Lamp_AO": FOUR},
               {"colour": COLOUR, "normal": bent(), "roughness": inverse(ONE), "metal": TWO, "emission": GLOW,
                "opacity": THREE, "occlusion": FOUR}),
    "unity": ({"Door_Albedo": COLOUR, "Door_MaskMap": np.dstack([ONE, TWO, THREE, FOUR])},
              {"colour": COLOUR, "metal": ONE, "occlusion": TWO, "roughness": inverse(FOUR)}),
    "it's old & @home, für [1]": (
        {"a & <b> \"@c\" 'd' [1]_Diffuse": COLOUR, "a & <b> \"@c\" 'd' [1]_ORMH": np.dstack([ONE, TWO, THREE, FOUR])},
        {"colour": COLOUR, "occlusion": ONE, "roughness": TWO, "metal": THREE, "height": FOUR}),
}
EACH = pytest.mark.parametrize("name", MATERIALS)


def read(folder, name, maps):
    """The Photo of a material's maps, or of a photo, that are saved in a folder."""
    place = folder / name
    if isinstance(maps, dict):
        place.mkdir()
        for label, pixels in maps.items():
            png.save_png(place / f"{label}.png", pixels, srgb=False)
    else:
        place = folder / f"{name}.png"
        png.save_png(place, maps)
    return td.load_photo(place, depth=None, alpha="draw")


def export(folder, name, maps, names=constants.EXPORTS, change=lambda photo: photo):
    """Draw a material as it is and export it; its folder, the files' name and figures."""
    photo, made = change(read(folder, name, maps)), folder / "drawn"
    made.mkdir()
    with files.Results(made, photo.digest) as results:
        paths = [results.path(path) for path in photo.channels.paths("output")]
        for path, pixels, (*_, srgb) in zip(paths, photo.rendered(photo.x), photo.channels.formats()):
            png.save_png(path, pixels, srgb=srgb)
        said = exports.save(names, photo, paths, photo.x.shape[1:], results, "output")
    place = made / "output" if isinstance(maps, dict) else made
    return SimpleNamespace(place=place, said=said, stem=name if isinstance(maps, dict) else "output",
                           file=lambda suffix: next(place.glob(f"*.{suffix}")))


MADE = {}


@pytest.fixture
def made(name, tmp_path_factory):
    """A material of MATERIALS, exported once."""
    if name not in MADE:
        MADE[name] = export(tmp_path_factory.mktemp("made"), name, MATERIALS[name][0])
    return MADE[name]


def numbers(pixels):
    """Pixels as numbers from 0 to 1, [H, W, channels]."""
    return np.atleast_3d(pixels) / np.iinfo(pixels.dtype).max


def pixels_at(path):
    """All channels of a PNG, by a reader that is not ours and keeps 16 bits."""
    return numbers(imagecodecs.png_decode(path.read_bytes()))


def in_colours(pixels):
    """Numbers of a file as programs show them: grey is three times the same."""
    return np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], 2) if pixels.shape[2] < 3 else pixels


def compare(found, expected):
    """Assert that slots {kind: numbers} are those that a material should have; under what is transparent no colour is
    the right one."""
    there = np.asarray(expected.get("opacity", 1)) > 0
    assert found.keys() == expected.keys()
    for kind, pixels in expected.items():
        wanted = numbers(pixels)
        assert found[kind].shape == wanted.shape, kind
        off = np.abs(found[kind] - wanted).max(2) * (there if kind == "colour" else 1)
        assert off.max() <= NEAR * (2 if kind == "normal" else 1), kind


# glTF


def pictures_in(path):
    """A .glb by trimesh: its mesh, and its material."""
    import trimesh

    mesh = next(iter(trimesh.load(path, process=False).geometry.values()))
    return mesh, mesh.visual.material


@EACH
def test_trimesh_finds_each_map_of_a_glb_in_its_slot_and_channel(name, made):
    mesh, material = pictures_in(made.file("glb"))
    expected, found = dict(MATERIALS[name][1]), {}
    assert material.name == name
    expected.pop("height", None)  # glTF has no slot for it

    colour = numbers(np.asarray(material.baseColorTexture))
    found["colour"] = colour[..., :3]
    assert material.alphaMode == {"leaf": "MASK", "single": "BLEND"}.get(name)  # None: opaque
    if material.alphaMode:
        found["opacity"] = colour[..., 3:]
    if material.normalTexture is not None:
        found["normal"] = numbers(np.asarray(material.normalTexture))
    if material.emissiveTexture is not None:
        assert material.emissiveFactor.tolist() == [1, 1, 1]
        found["emission"] = numbers(np.asarray(material.emissiveTexture))
    if material.occlusionTexture is not None:
        found["occlusion"] = numbers(np.asarray(material.occlusionTexture))[..., :1]
    assert material.roughnessFactor == 1 and material.metallicFactor == ("metal" in expected)
    if material.metallicRoughnessTexture is not None:
        packed = numbers(np.asarray(material.metallicRoughnessTexture))
        found["roughness"] = packed[..., 1:2]
        found.update({"metal": packed[..., 2:3]} if "metal" in expected else {})
    compare(found, expected)


@EACH
def test_pygltflib_reads_a_glb_whose_parts_are_whole(name, made):
    import pygltflib

    content = made.file("glb").read_bytes()
    gltf = pygltflib.GLTF2.load_from_bytes(content)
    blob = gltf.binary_blob()
    assert len(content) % 4 == 0 and struct.unpack("<I", content[8:12])[0] == len(content)
    assert gltf.buffers[0].byteLength == len(blob) and all(view.byteOffset % 4 == 0 for view in gltf.bufferViews)
    assert {(one.wrapS, one.wrapT) for one in gltf.samplers} == {(pygltflib.REPEAT, pygltflib.REPEAT)}
    for picture in gltf.images:
        view = gltf.bufferViews[picture.bufferView]
        part = blob[view.byteOffset:view.byteOffset + view.byteLength]
        assert picture.mimeType == "image/png" and part[:4] == b"\x89PNG" and part[24] == 8  # bits a channel

    primitive = gltf.meshes[0].primitives[0]
    kinds = {"VEC2": 2, "VEC3": 3, "VEC4": 4, "SCALAR": 1}
    found = {}
    for label in ("POSITION", "NORMAL", "TANGENT", "TEXCOORD_0", "indices"):
        accessor = gltf.accessors[getattr(primitive.attributes, label) if label != "indices" else primitive.indices]
        view = gltf.bufferViews[accessor.bufferView]
        dtype = {pygltflib.FLOAT: "<f4", pygltflib.UNSIGNED_SHORT: "<u2"}[accessor.componentType]
        values = np.frombuffer(blob, dtype, accessor.count * kinds[accessor.type], view.byteOffset)
        values = found[label] = values.reshape(accessor.count, -1)
        assert values.min(0).tolist() == accessor.min and values.max(0).tolist() == accessor.max
        assert view.target == (34963 if label == "indices" else 34962)
    check_quad(found)


def check_quad(found):
    """A quad of the texture's shape whose triangles face its normals, with tangents along u and against v."""
    position, place = found["POSITION"], found["TEXCOORD_0"]
    assert np.ptp(position, 0).tolist() == [1, HEIGHT / WIDTH, 0]
    for a, b, c in found["indices"].reshape(-1, 3):
        assert np.cross(position[b] - position[a], position[c] - position[a])[2] > 0
    across, down = (np.linalg.lstsq(np.c_[place, np.ones(4)], position, rcond=None)[0])[:2]
    tangent, normal = found["TANGENT"], found["NORMAL"]
    assert (normal == [0, 0, 1]).all() and (tangent[:, :3] == [1, 0, 0]).all() and across[0] > 0
    up = np.cross(normal, tangent[:, :3]) * tangent[:, 3:]
    assert (up @ down < 0).all()  # green points to where v, which runs down the picture, is less


# USD


def usd_slots(stage, folder):
    """{kind: numbers} that a UsdPreviewSurface gets from its pictures, by following what is connected with what."""
    from pxr import UsdGeom, UsdShade

    root = stage.GetDefaultPrim()
    quad = UsdGeom.Mesh(root.GetChild("Quad"))
    material, _ = UsdShade.MaterialBindingAPI(quad.GetPrim()).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    assert surface.GetIdAttr().Get() == "UsdPreviewSurface"
    names = {"diffuseColor": "colour", "emissiveColor": "emission", "metallic": "metal", "displacement": "height"}
    found, plain = {}, {}
    for one in surface.GetInputs():
        label = one.GetBaseName()
        if one.HasConnectedSource():
            source, output, _ = one.GetConnectedSource()
            found[names.get(label, label)] = sampled(UsdShade.Shader(source.GetPrim()), str(output), folder)
        else:
            plain[label] = one.Get()
    return found, plain


def sampled(shader, output, folder):
    """The numbers that a UsdUVTexture gives."""
    values = {one.GetBaseName(): one for one in shader.GetInputs()}
    assert shader.GetIdAttr().Get() == "UsdUVTexture"
    assert {values[label].Get() for label in ("wrapS", "wrapT")} == {"repeat"}
    reader, _, _ = values["st"].GetConnectedSource()
    assert reader.GetPrim().GetAttribute("inputs:varname").Get() == "st"
    path = values["file"].Get().path
    assert path.startswith("./")
    pixels, coloured = in_colours(pixels_at(folder / path)), output == "rgb" and "scale" not in values
    assert values["sourceColorSpace"].Get() == ("sRGB" if coloured else "raw")
    pixels = pixels[..., [{"r": 0, "g": 1, "b": 2, "a": 3}[letter] for letter in output]]
    if "scale" in values:
        pixels = pixels * values["scale"].Get()[:pixels.shape[2]] + values["bias"].Get()[:pixels.shape[2]]
    return pixels


@EACH
def test_usd_finds_each_map_in_its_input_and_channel(name, made):
    from pxr import Usd

    found, plain = usd_slots(Usd.Stage.Open(str(made.file("usda"))), made.place)
    if "normal" in found:
        found["normal"] = (found["normal"] + 1) / 2
    if "height" in found:  # from -0.025 to 0.025
        found["height"] = found["height"] / slots.HEIGHT + 0.5
    compare(found, MATERIALS[name][1])
    assert plain.get("roughness") == (None if "roughness" in found else 1)
    assert plain.get("opacityThreshold") == (0.5 if name == "leaf" else None)


@EACH
def test_usd_has_nothing_to_complain_about_and_the_package_is_the_same(name, made):
    from pxr import Usd, UsdValidation

    rules = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    for suffix in ("usda", "usdz"):
        stage = Usd.Stage.Open(str(made.file(suffix)))
        assert [error.GetMessage() for error in rules.Validate(stage)] == []
        assert stage.GetDefaultPrim().GetDisplayName() == name
    content = made.file("usdz").read_bytes()
    with zipfile.ZipFile(made.file("usdz")) as archive:
        entries = archive.infolist()
        assert entries[0].filename == made.file("usda").name and archive.testzip() is None
        for entry in entries:
            start = entry.header_offset + 30 + sum(struct.unpack("<HH", content[entry.header_offset + 26:][:4]))
            assert start % 64 == 0 and entry.compress_type == zipfile.ZIP_STORED
            assert archive.read(entry) == (made.place / entry.filename).read_bytes()


# MaterialX


@pytest.fixture(scope="module")
def library():
    """MaterialX's own definitions."""
    import MaterialX as mx

    found = mx.createDocument()
    mx.loadLibraries(mx.getDefaultDataLibraryFolders(), mx.getDefaultDataSearchPath(), found)
    return found


def mtlx_slots(document, folder):
    """{kind: numbers} that a standard_surface and a displacement get from their pictures, and plain values."""
    made, = document.getMaterialNodes()
    surface = made.getConnectedNode("surfaceshader")
    assert surface.getCategory() == "standard_surface"
    names = {"base_color": "colour", "emission_color": "emission", "metalness": "metal",
             "specular_roughness": "roughness"}
    found, plain = {}, {}
    for one in surface.getInputs():
        node = one.getConnectedNode()
        if node:
            found[names.get(one.getName(), one.getName())] = evaluated(node, folder)
        else:
            plain[one.getName()] = one.getValue()
    if displaced := made.getConnectedNode("displacementshader"):
        assert abs(displaced.getInputValue("scale") - slots.HEIGHT) < 1e-6
        middle = displaced.getConnectedNode("displacement")
        assert middle.getCategory() == "subtract" and middle.getInputValue("in2") == 0.5
        found["height"] = evaluated(middle.getConnectedNode("in1"), folder)
    return found, plain


def evaluated(node, folder):
    """The numbers of a node."""
    if node.getCategory() == "tiledimage":
        kind, file = node.getType(), node.getInput("file")
        assert file.getColorSpace() == ("srgb_texture" if kind == "color3" else "")
        pixels = pixels_at(folder / file.getValueString())
        pixels = in_colours(pixels) if kind == "color3" else pixels
        return pixels[..., :{"float": 1, "vector2": 2, "color3": 3, "vector3": 3, "vector4": 4}[kind]]
    numbers = evaluated(node.getConnectedNode("in"), folder)
    if node.getCategory() == "extract":
        index = node.getInputValue("index")
        return numbers[..., index:index + 1]
    assert node.getCategory() in ("normalmap", "convert")
    return numbers


@EACH
def test_materialx_finds_each_map_in_its_input_and_channel(name, made, library):
    import MaterialX as mx

    document = mx.createDocument()
    mx.readFromXmlFile(document, str(made.file("mtlx")))
    document.setDataLibrary(library)
    assert document.validate() == (True, "") and document.getVersionString() == "1.39"
    found, plain = mtlx_slots(document, made.place)
    expected = {kind: pixels for kind, pixels in MATERIALS[name][1].items() if kind != "occlusion"}  # it has no slot
    compare(found, expected)
    assert document.getMaterialNodes()[0].getAttribute("uiname") == name
    assert plain.get("specular_roughness") == (None if "roughness" in found else 1)


@pytest.mark.parametrize("name", ["single"])
def test_materialx_makes_a_shader_of_a_material(name, made, library):
    import MaterialX as mx
    import MaterialX.PyMaterialXGenGlsl as glsl
    import MaterialX.PyMaterialXGenShader as shaders

    document = mx.createDocument()
    mx.readFromXmlFile(document, str(made.file("mtlx")))
    document.setDataLibrary(library)
    generator = glsl.GlslShaderGenerator.create()
    context = shaders.GenContext(generator)
    context.registerSourceCodeSearchPath(mx.getDefaultDataSearchPath())
    colours = shaders.DefaultColorManagementSystem.create(generator.getTarget())
    colours.loadLibrary(library)
    generator.setColorManagementSystem(colours)
    shader = generator.generate("made", shaders.findRenderableElements(document)[0], context)
    source = shader.getSourceCode(shaders.PIXEL_STAGE)
    assert len(re.findall(r"srgb_texture_to_lin_rec709\w*\(", source)) >= 2  # colour and emission


# Godot


def tres_slots(path):
    """{kind: numbers} of a .tres file, and its other properties."""
    text = path.read_text(encoding="utf-8")
    string = r'"((?:[^"\\]|\\.)*)"'
    textures = {number: re.sub(r"\\(.)", r"\1", file) for file, number in
                re.findall(rf'^\[ext_resource type="Texture2D" path={string} id="(\d+)"\]$', text, re.M)}
    assert f"load_steps={len(textures) + 1} " in text
    properties = dict(re.findall(r"^(\w+) = (.*)$", text.partition("[resource]")[2], re.M))
    names = {"albedo": "colour", "metallic": "metal", "ao": "occlusion", "heightmap": "height"}
    found = {}
    for label, value in properties.items():
        if number := re.fullmatch(r'ExtResource\("(\d+)"\)', value):
            kind = label.removesuffix("_texture")
            channel = properties.get(f"{label}_channel")
            pixels = pixels_at(path.parent / textures[number[1]])
            pixels = pixels if channel is None else pixels[..., [int(channel)]]
            found[names.get(kind, kind)] = pixels[..., :1] if kind == "heightmap" else pixels  # it reads red
            assert kind in ("albedo", "metallic", "roughness") or properties[f"{kind}_enabled"] == "true"
    return found, properties


@EACH
def test_a_tres_names_each_map_and_its_channel(name, made):
    found, properties = tres_slots(made.file("tres"))
    expected = MATERIALS[name][1]
    if "opacity" in expected:
        assert properties["transparency"] == ("2" if name == "leaf" else "1")
        found["opacity"] = found["colour"][..., 3:]
    found["colour"] = in_colours(found["colour"])[..., :3]
    compare(found, expected)
    assert json.loads(properties["resource_name"]) == name and properties["roughness"] == "1.0"
    assert properties.get("metallic") == ("1.0" if "metal" in expected else None)
    assert properties.get("heightmap_scale") == ("5.0" if "height" in expected else None)


# GIMP and Krita


def read_pattern(content):
    """The name and the pixels [H, W, channels] of a .pat file, by the format's own words: six numbers, each of 4 bytes
    with the highest first, the name, which ends with a zero, and the pixels row by row."""
    length, version, width, height, channels = (int.from_bytes(content[k:k + 4], "big") for k in range(0, 20, 4))
    assert version == 1 and content[20:24] == b"GPAT" and content[length - 1] == 0
    assert len(content) == length + width * height * channels
    return content[24:length - 1].decode(), np.frombuffer(content[length:], np.uint8).reshape(height, width, channels)


@EACH
def test_a_pattern_holds_the_colour_and_its_opacity_in_8_bits_a_channel(name, made):
    label, pixels = read_pattern(made.file("pat").read_bytes())
    expected = MATERIALS[name][1]
    channels = 4 if "opacity" in expected else 1 if name == "grey" else 3
    assert label == ("photo" if name == "photo" else name) and pixels.shape == (HEIGHT, WIDTH, channels)
    found = {"colour": in_colours(numbers(pixels))[..., :3]}
    found.update({"opacity": numbers(pixels)[..., 3:]} if channels == 4 else {})
    compare(found, {kind: expected[kind] for kind in found})


def test_a_pattern_is_made_of_what_repeats_itself_and_has_a_colour(tool):
    assert_refused(tool("photo.png", *tiny(EXPORT="pat")), "EXPORT is ('pat',)", "TILEABLE=xy")
    assert_refused(tool("photo.png", *tiny(EXPORT="pat", TILEABLE="x")), "TILEABLE=xy")
    assert_refused(tool("photo.png", *tiny(EXPORT="pat", TILEABLE="xy", REGION="(0,0,9,9)")), "without a REGION")
    heights = channels.Channels({}, {}, (channels.MapFile("wall_Height", ("height",)),), folder=True)
    with pytest.raises(UserError, match="a material's colour, and this one has none"):
        exports.check(("pat",), SimpleNamespace(channels=heights), (40, 40))
    assert exports.of_a_repair(("glb", "pat")) == ("glb",)


# Blender


class Node:
    """A stand-in for one of Blender's nodes: it has every input and output of the names that Blender's manual has."""

    NAMES = {"ShaderNodeBsdfPrincipled": (["Base Color", "Metallic", "Roughness", "Normal", "Alpha", "Emission Color",
                                           "Emission Strength"], ["BSDF"]),
             "ShaderNodeOutputMaterial": (["Surface", "Displacement"], []),
             "ShaderNodeTexImage": ([], ["Color", "Alpha"]),
             "ShaderNodeSeparateColor": (["Color"], ["Red", "Green", "Blue"]),
             "ShaderNodeNormalMap": (["Color"], ["Normal"]),
             "ShaderNodeDisplacement": (["Height", "Midlevel", "Scale"], ["Displacement"])}

    def __init__(self, kind):
        self.kind = kind
        self.inputs, self.outputs = ({name: SimpleNamespace(node=self, name=name, source=None, default_value=None)
                                      for name in names} for names in self.NAMES[kind])

    def numbers(self, output):
        """What an output gives, of pictures."""
        if self.kind == "ShaderNodeTexImage":
            pixels = pixels_at(self.image.path)
            return pixels[..., 3:] if output == "Alpha" else pixels[..., :3]
        source = next(socket.source for socket in self.inputs.values() if socket.source)
        values = source.node.numbers(source.name)
        if self.kind == "ShaderNodeSeparateColor":
            index = ["Red", "Green", "Blue"].index(output)
            return values[..., index:index + 1]
        return values


def run_in_blender(path):
    """Run the example in a stand-in for Blender; the material."""
    made = SimpleNamespace(name="", node_tree=SimpleNamespace(nodes=mock.MagicMock(), links=mock.MagicMock()))
    made.node_tree.nodes.new = Node
    made.node_tree.links.new = lambda output, socket: setattr(socket, "source", output)
    load = lambda path: SimpleNamespace(  # noqa: E731
        path=Path(path), colorspace_settings=SimpleNamespace(name="sRGB"))
    data = SimpleNamespace(materials=SimpleNamespace(new=lambda name: made), images=SimpleNamespace(load=load))
    nodes = []
    made.node_tree.nodes.new = lambda kind: nodes.append(Node(kind)) or nodes[-1]
    bpy = SimpleNamespace(data=data, context=SimpleNamespace(active_object=None))
    with mock.patch.dict(sys.modules, bpy=bpy):
        runpy.run_path(str(ROOT / "examples" / "blender_material.py"))["main"](path)
    return made, nodes


@EACH
def test_the_example_for_blender_links_each_map_with_its_socket(name, made):
    material, nodes = run_in_blender(made.file("mtlx"))
    output, surface = nodes[:2]
    names = {"Base Color": "colour", "Metallic": "metal", "Emission Color": "emission", "Alpha": "opacity"}
    found = {names.get(label, label.lower()): socket.source.node.numbers(socket.source.name)
             for label, socket in surface.inputs.items() if socket.source}
    found["colour"] = in_colours(found["colour"])
    if displaced := output.inputs["Displacement"].source:
        found["height"] = displaced.node.numbers("Height")
    compare(found, {kind: pixels for kind, pixels in MATERIALS[name][1].items() if kind != "occlusion"})
    assert material.name == name
    assert surface.inputs["Roughness"].default_value == (None if "roughness" in found else 1)
    assert surface.inputs["Emission Strength"].default_value == (1 if "emission" in found else None)
    for node in nodes:
        if node.kind == "ShaderNodeTexImage":
            coloured = "Color" in node.image.path.stem or "Emissive" in node.image.path.stem or \
                node.image.path.stem.endswith(("output", "Albedo", "Diffuse"))
            assert node.image.colorspace_settings.name == ("sRGB" if coloured else "Non-Color")


# What is written


@EACH
def test_all_files_are_called_after_the_material_or_the_photo_s_texture(name, made):
    assert made.said == {"exported": ", ".join(f"{made.stem}.{suffix}" for suffix in
                                               ("glb", "mtlx", "tres", "usda", "usdz", "pat"))}


@pytest.mark.parametrize("name", ["single", "unity", "packed"])
def test_a_folder_with_its_copies_is_one_material_still(name, made):
    folder, notes = materials.recognised(made.place)
    kinds = {kind for taken in folder.values() for kind in taken.holds}
    assert MATERIALS[name][1].keys() <= kinds
    assert len(folder) == len(list(made.place.glob("*.png")))


@pytest.mark.parametrize("name, copies", [
    ("single", {"Lamp_NormalGL", "Lamp_Roughness", "Lamp_ColorOpacity"}), ("unity", {"Door_Roughness"}),
    ("packed", set())])
def test_copies_are_made_only_where_they_are_needed_and_say_what_they_hold(name, copies, made):
    assert {path.stem for path in made.place.glob("*.png")} - MATERIALS[name][0].keys() == copies


@pytest.mark.parametrize("name, word, copy", [
    ("Lamp_NormalDX", "NormalGL", "Lamp_NormalGL"), ("wall_nor_dx_2k", "NormalGL", "wall_NormalGL_2k"),
    ("Rock-Normal Map", "NormalGL", "Rock-NormalGL Map"), ("Door_MaskMap", "Roughness", "Door_Roughness"),
    ("plain", "Height", "plain_Height")])
def test_a_copy_is_called_like_the_map_with_another_word(name, word, copy):
    assert slots.called(name, word) == copy


def test_a_copy_of_16_bits_keeps_them_and_a_glb_holds_8(tmp_path):
    deep = bent(down=True).astype(np.uint16) * 257
    made = export(tmp_path, "deep", {"Wall_Color": COLOUR, "Wall_NormalDX": deep}, ("mtlx", "glb"))
    copy, drawn = (np.asarray(photos.open_image(made.place / f"Wall_Normal{way}.png", None, colours=False)[0])
                   for way in ("GL", "DX"))
    assert copy.dtype == np.uint16 and (copy[..., 1] == 65535 - drawn[..., 1]).all()
    assert (copy[..., ::2] == drawn[..., ::2]).all()
    packed = pictures_in(made.file("glb"))[1].normalTexture
    assert packed.mode == "RGB" and np.abs(numbers(np.asarray(packed)) - numbers(copy)).max() < NEAR


def test_without_their_maps_a_material_is_rough_and_no_metal(tmp_path):
    made = export(tmp_path, "wall", {"Wall_Color": COLOUR, "Wall_AO": ONE}, ("glb",))
    packed = np.asarray(pictures_in(made.file("glb"))[1].metallicRoughnessTexture)
    assert (packed[..., 0] == ONE).all() and (packed[..., 1] == 255).all() and (packed[..., 2] == 0).all()


def test_only_what_is_asked_for_is_written(tmp_path):
    made = export(tmp_path, "photo", COLOUR, ("tres",))
    assert made.said == {"exported": "output.tres"}
    assert {path.name for path in made.place.iterdir()} == {"output.png", "output.tres", ".made.json"}
    (tmp_path / "none").mkdir()
    assert export(tmp_path / "none", "photo", COLOUR, ()).said == {}


def as_art(photo):
    """A photo as if it were pixel art."""
    art = SimpleNamespace(reduced=lambda pixels: pixels)
    what = photo.channels._replace(art=art)
    return photo._replace(exemplar=photo.exemplar._replace(channels=what))


def test_pixels_of_pixel_art_stay_sharp(tmp_path):
    made = export(tmp_path, "art", COLOUR, change=as_art)
    assert b'"magFilter": 9728' in made.file("glb").read_bytes()
    assert "texture_filter = 2" in made.file("tres").read_text()
    assert 'name="filtertype" type="string" value="closest"' in made.file("mtlx").read_text()


# Before anything is trained


def test_what_is_too_large_or_has_no_name_is_refused():
    photo = draw_photo(40, 40)
    exports.check(("glb",), photo, (8192, 8192))
    exports.check((), photo, (10**6, 10**6))
    with pytest.raises(UserError, match="up to 8192 pixels a side, and this one has 9000 x 40"):
        exports.check(("glb",), photo, (40, 9000))
    odd = channels.Channels({}, {}, (channels.MapFile("wall\udcff_Color", ("colour",)),), folder=True)
    with pytest.raises(UserError, match="whose name is no text; rename that map"):
        exports.check(("usda",), SimpleNamespace(channels=odd), (40, 40))


@pytest.mark.parametrize("words, names", [
    ("EXPORT=glb", ("glb",)), ("EXPORT=glb,usda", ("glb", "usda")), ("--export=mtlx", ("mtlx",)), ("EXPORT=()", ()),
    ("EXPORT=('tres', 'glb')", ("tres", "glb")), ("EXPORT=", ())])
def test_names_are_written_as_people_write_them(words, names):
    assert constants_of(words).EXPORT == names


def test_what_no_file_is_written_for_is_refused(tool):
    assert_refused(tool("photo.png", *tiny(EXPORT="glb,obj")), "EXPORT is ('glb', 'obj')", "glb, mtlx, tres, usda, pat")
    assert_refused(tool("photo.png", *tiny(EXPORT="glb", WANG=2)), "EXPORT", "does not go together with WANG")
    assert_refused(tool("photo.png", *tiny(EXPORT="glb", OUTPUT_SIZE="9000x50")), "8192", "9000 x 50")


def test_a_run_writes_them_beside_the_texture_and_again_in_their_place(drawing, tmp_path):
    for _ in range(2):
        result = drawing(EXPORT="glb,usda", SCALE=1)
        assert figures(result.out)["exported"] == \
            "output_texture_1x1.glb, output_texture_1x1.usda, output_texture_1x1.usdz"
    _, material = pictures_in(tmp_path / "samples/photo/output_texture_1x1.glb")
    drawn = np.asarray(Image.open(tmp_path / "samples/photo/output_texture_1x1.png"))
    assert material.name == "photo" and (np.asarray(material.baseColorTexture) == drawn).all()
