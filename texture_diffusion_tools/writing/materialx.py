"""MaterialX 1.39 (.mtlx): a standard_surface with pictures by relative paths.

standard_surface has no slot for occlusion. Colours say that they are sRGB; all other pictures are
in the document's own space and so are not converted.
"""

from __future__ import annotations

import xml.etree.ElementTree as xml
from collections.abc import Callable
from typing import Any

from . import slots
from .slots import Slot

VECTORS = {2: "vector2", 3: "vector3", 4: "vector4"}  # by the channels of a file
INPUTS = {"roughness": "specular_roughness", "metal": "metalness"}


def document(material: slots.Material) -> str:
    """A .mtlx file, text, of a slots.Material."""
    root = xml.Element("materialx", version="1.39", colorspace="lin_rec709")
    name = slots.identifier(material.name)
    graph = Graph(root, name, material.crisp)

    surface = xml.Element("standard_surface", name=f"{name}_surface", type="surfaceshader")
    given(surface, "base", "float", "1")
    for kind, slot in material.slots.items():
        if kind in ADDED:
            ADDED[kind](graph, surface, slot)
    if "roughness" not in material.slots:
        given(surface, "specular_roughness", "float", "1")
    root.append(surface)

    made = xml.Element("surfacematerial", name=name, type="material", uiname=material.name)
    linked(made, "surfaceshader", "surfaceshader", surface)
    if "height" in material.slots:
        node = displacement(graph, material.slots["height"])
        linked(made, "displacementshader", "displacementshader", node)
    root.append(made)

    xml.indent(root)
    return '<?xml version="1.0"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


class Graph:
    """The nodes of a material, which are called after it."""

    def __init__(self, root: xml.Element, name: str, crisp: bool) -> None:
        self.root, self.name, self.crisp = root, name, crisp

    def node(self, kind: str, label: str, made_as: str) -> xml.Element:
        """A new node of a type."""
        return xml.SubElement(self.root, kind, name=f"{self.name}_{label}", type=made_as)

    def picture(self, label: str, slot: Slot, made_as: str) -> xml.Element:
        """A node that reads all of a slot's file."""
        node = self.node("tiledimage", label, made_as)
        space = {"colorspace": "srgb_texture"} if made_as == "color3" else {}
        given(node, "file", "filename", slot.path.name, **space)
        if self.crisp:
            given(node, "filtertype", "string", "closest")
        return node

    def channel(self, label: str, slot: Slot) -> xml.Element:
        """A node that gives a slot's channel alone."""
        if slot.channels == 1:
            return self.picture(label, slot, "float")
        file = self.picture(f"{label}_file", slot, VECTORS[slot.channels])
        node = self.node("extract", label, "float")
        linked(node, "in", VECTORS[slot.channels], file)
        given(node, "index", "integer", str(slot.first))
        return node


def given(node: xml.Element, name: str, made_as: str, value: str, **more: Any) -> None:
    """Give an input of a node a value."""
    xml.SubElement(node, "input", name=name, type=made_as, value=value, **more)


def linked(node: xml.Element, name: str, made_as: str, other: xml.Element) -> None:
    """Link an input of a node with another node."""
    xml.SubElement(node, "input", name=name, type=made_as, nodename=other.attrib["name"])


def add_colour(graph: Graph, surface: xml.Element, slot: Slot) -> None:
    """Link the colour."""
    linked(surface, "base_color", "color3", graph.picture("colour", slot, "color3"))


def add_emission(graph: Graph, surface: xml.Element, slot: Slot) -> None:
    """Link what glows."""
    given(surface, "emission", "float", "1")
    linked(surface, "emission_color", "color3", graph.picture("emission", slot, "color3"))


def add_number(kind: str) -> Callable[[Graph, xml.Element, Slot], None]:
    """A function that links a map of numbers."""
    def add(graph: Graph, surface: xml.Element, slot: Slot) -> None:
        linked(surface, INPUTS[kind], "float", graph.channel(kind, slot))

    return add


def add_opacity(graph: Graph, surface: xml.Element, slot: Slot) -> None:
    """Link the opacity, which is a colour here."""
    alpha = graph.channel("opacity_alpha", slot)
    node = graph.node("convert", "opacity", "color3")
    linked(node, "in", "float", alpha)
    linked(surface, "opacity", "color3", node)


def add_normal(graph: Graph, surface: xml.Element, slot: Slot) -> None:
    """Link the normals."""
    picture = graph.picture("normal_file", slot, "vector3")
    node = graph.node("normalmap", "normal", "vector3")
    linked(node, "in", "vector3", picture)
    linked(surface, "normal", "vector3", node)


def displacement(graph: Graph, slot: Slot) -> xml.Element:
    """A node that displaces by a height, whose middle stays where it is."""
    height = graph.channel("height", slot)
    middle = graph.node("subtract", "height_around_0", "float")
    linked(middle, "in1", "float", height)
    given(middle, "in2", "float", "0.5")

    node = graph.node("displacement", "displacement", "displacementshader")
    linked(node, "displacement", "float", middle)
    given(node, "scale", "float", str(slots.HEIGHT))
    return node


ADDED = {
    "colour": add_colour,
    "emission": add_emission,
    "opacity": add_opacity,
    "normal": add_normal,
    "roughness": add_number("roughness"),
    "metal": add_number("metal"),
}
