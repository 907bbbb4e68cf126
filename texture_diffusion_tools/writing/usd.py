"""USD: a quad with a UsdPreviewSurface whose pictures are found by relative paths (.usda), and all
in one file (.usdz).

A .usdz is a ZIP in which nothing is compressed and each file's content begins at a multiple of 64
bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile

from . import slots

ALIGNED = 64  # bytes
INPUTS = {
    "colour": ("color3f", "diffuseColor"),
    "emission": ("color3f", "emissiveColor"),
    "normal": ("normal3f", "normal"),
    "roughness": ("float", "roughness"),
    "metal": ("float", "metallic"),
    "occlusion": ("float", "occlusion"),
    "opacity": ("float", "opacity"),
    "height": ("float", "displacement"),
}
COLOURED = ("colour", "emission")
OUTPUTS = {"r": "float", "g": "float", "b": "float", "a": "float", "rgb": "float3"}
SCALES = {  # (scale, bias) of a picture's values
    "normal": ((2, 2, 2, 1), (-1, -1, -1, 0)),
    "height": ((slots.HEIGHT,) * 4, (-slots.HEIGHT / 2,) * 4),  # the middle stays where it is
}


def document(material: slots.Material) -> str:
    """A .usda file, text, of a slots.Material."""
    name, (width, height) = slots.identifier(material.name), material.sides()
    x, y = width / 2, height / 2
    textures = [texture(name, kind, slot) for kind, slot in material.slots.items()]
    shaders = "\n".join([surface(name, material), COORDINATES, *textures])

    # what the surface says of light, and of its shape
    shader = f"</{name}/Material/Surface.outputs:"
    ends = [f"token outputs:surface.connect = {shader}surface>"]
    if "height" in material.slots:
        ends.append(f"token outputs:displacement.connect = {shader}displacement>")
    ends = "\n        ".join(ends)

    return f"""#usda 1.0
(
    defaultPrim = "{name}"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "{name}" (
    displayName = {quoted(material.name)}
    kind = "component"
)
{{
    def Mesh "Quad" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {{
        float3[] extent = [({-x}, {-y}, 0), ({x}, {y}, 0)]
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        rel material:binding = </{name}/Material>
        normal3f[] normals = [(0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1)] (
            interpolation = "vertex"
        )
        point3f[] points = [({-x}, {-y}, 0), ({x}, {-y}, 0), ({x}, {y}, 0), ({-x}, {y}, 0)]
        texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 1), (0, 1)] (
            interpolation = "vertex"
        )
        uniform token subdivisionScheme = "none"
    }}

    def Material "Material" (
        displayName = {quoted(material.name)}
    )
    {{
        {ends}
{shaders}
    }}
}}
"""


COORDINATES = """
        def Shader "Coordinates"
        {
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }"""


def surface(name: str, material: slots.Material) -> str:
    """The shader, text."""
    lines = [f"{kind} inputs:{slot}.connect = {output_of(name, label, material.slots[label])}"
             for label, (kind, slot) in INPUTS.items() if label in material.slots]
    for label, slot, value in (("roughness", "roughness", 1), ("metal", "metallic", 0)):
        if label not in material.slots:
            lines.append(f"float inputs:{slot} = {value}")
    if material.cut:
        lines.append(f"float inputs:opacityThreshold = {slots.CUTOFF}")

    lines = "\n            ".join(lines)
    return f"""
        def Shader "Surface"
        {{
            uniform token info:id = "UsdPreviewSurface"
            {lines}
            token outputs:displacement
            token outputs:surface
        }}"""


def channels_of(kind: str, slot: slots.Slot) -> str:
    """The output of a picture that is a map."""
    return "rgb" if kind in COLOURED or kind == "normal" else slot.letter()


def output_of(name: str, kind: str, slot: slots.Slot) -> str:
    """The path of a map's output."""
    return f"</{name}/Material/{kind}.outputs:{channels_of(kind, slot)}>"


def texture(name: str, kind: str, slot: slots.Slot) -> str:
    """The shader that reads a map, text."""
    scale = "".join(f"\n            float4 inputs:{label} = {value}"
                    for label, value in zip(("scale", "bias"), SCALES.get(kind, ())))
    output = channels_of(kind, slot)

    return f"""
        def Shader "{kind}"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = {asset(slot.path.name)}{scale}
            token inputs:sourceColorSpace = "{'sRGB' if kind in COLOURED else 'raw'}"
            float2 inputs:st.connect = </{name}/Material/Coordinates.outputs:result>
            token inputs:wrapS = "repeat"
            token inputs:wrapT = "repeat"
            {OUTPUTS[output]} outputs:{output}
        }}"""


def quoted(text: str) -> str:
    """A string of a .usda file."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def asset(name: str) -> str:
    """The relative path of a file beside this one."""
    if "@" not in name:
        return "@./" + name + "@"
    return "@@@./" + name.replace("@@@", "\\@@@") + "@@@"


def package(text: str, name: str, material: slots.Material) -> bytes:
    """A .usdz file, bytes, of a .usda file's text, which is called name in it, and the material's
    pictures."""
    paths = sorted({slot.path for slot in material.slots.values()})
    files = [(name, text.encode()), *((path.name, path.read_bytes()) for path in paths)]

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for label, content in files:
            archive.writestr(aligned(label, buffer.tell()), content)
    return buffer.getvalue()


def aligned(name: str, start: int) -> zipfile.ZipInfo:
    """The entry of a file in a ZIP from a place on, filled up so that its content begins at a
    multiple of 64 bytes."""
    entry = zipfile.ZipInfo(name)
    missing = -(start + 30 + len(name.encode())) % ALIGNED  # 30: what is before the name
    if missing:
        missing += ALIGNED * (missing < 4)  # what fills up says its own length
        entry.extra = struct.pack("<HH", 0x1986, missing - 4) + bytes(missing - 4)
    return entry
