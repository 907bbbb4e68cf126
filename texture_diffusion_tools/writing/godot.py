"""Godot 4 (.tres): a StandardMaterial3D with its textures by relative paths."""

from __future__ import annotations

from typing import Any

from . import slots

CHANNELS = {"r": 0, "g": 1, "b": 2, "a": 3}  # BaseMaterial3D.TextureChannel
ALPHA, SCISSOR = 1, 2  # BaseMaterial3D.Transparency
NEAREST_MIPMAP = 2  # BaseMaterial3D.TextureFilter
DEEP = 100  # heightmap_scale of a length


def document(material: slots.Material) -> str:
    """A .tres file, text, of a slots.Material."""
    properties = properties_of(material)
    files = {value for value in properties.values() if isinstance(value, slots.Slot)}
    numbers = {path: k for k, path in enumerate(sorted({slot.path for slot in files}), 1)}

    steps = len(numbers) + 1
    lines = [f'[gd_resource type="StandardMaterial3D" load_steps={steps} format=3]', ""]
    lines += [f'[ext_resource type="Texture2D" path={quoted(path.name)} id="{k}"]'
              for path, k in numbers.items()]

    lines += ["", "[resource]", f"resource_name = {quoted(material.name)}"]
    for name, value in properties.items():
        if isinstance(value, slots.Slot):
            value = f'ExtResource("{numbers[value.path]}")'
        lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def properties_of(material: slots.Material) -> dict[str, Any]:
    """{property: its value as text, or the Slot of its texture}."""
    found = material.slots
    made: dict[str, Any] = {}
    if "opacity" in found:
        made["transparency"] = SCISSOR if material.cut else ALPHA
        if material.cut:
            made["alpha_scissor_threshold"] = slots.CUTOFF

    if "colour" in found:
        made["albedo_texture"] = found["colour"]
    made["roughness"] = 1.0
    for kind, name in (("metal", "metallic"), ("roughness", "roughness")):
        if kind in found:
            made.update({name: 1.0, **single(name, found[kind])})

    if "emission" in found:
        made.update(emission_enabled="true", emission_texture=found["emission"])
    if "normal" in found:
        made.update(normal_enabled="true", normal_texture=found["normal"])
    if "occlusion" in found:
        made.update(ao_enabled="true", **single("ao", found["occlusion"]))
    if "height" in found:
        made.update(heightmap_enabled="true", heightmap_scale=slots.HEIGHT * DEEP,
                    heightmap_texture=found["height"])
    if material.crisp:
        made["texture_filter"] = NEAREST_MIPMAP
    return made


def single(name: str, slot: slots.Slot) -> dict[str, Any]:
    """The properties of a texture of which one channel is used."""
    return {f"{name}_texture": slot, f"{name}_texture_channel": CHANNELS[slot.letter()]}


def quoted(text: str) -> str:
    """A string as Godot writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
