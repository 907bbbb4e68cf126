"""The two ways in which ComfyUI is told of nodes: classes with a schema (V3), and plain classes
with a few attributes (V1), which came before."""

from __future__ import annotations

from typing import Any

from .nodes import Input, Node

CATEGORY = "texture"
TYPES = {"IMAGE": "Image", "MASK": "Mask", "INT": "Int", "COMBO": "Combo"}  # of V3, by kind


def as_v3(node: Node, io: Any) -> type:
    """A node as a class of V3; io: comfy_api.latest.io."""
    def define_schema(cls: type) -> Any:
        return io.Schema(
            node_id=node.id, display_name=node.title, category=CATEGORY, description=node.about,
            inputs=[v3_input(one, io) for one in node.inputs],
            outputs=[io.Image.Output(display_name=name) for name in node.outputs])

    def execute(cls: type, **inputs: Any) -> Any:
        return io.NodeOutput(*node.make(**inputs))

    return type(node.id, (io.ComfyNode,), {"define_schema": classmethod(define_schema),
                                           "execute": classmethod(execute)})


def v3_input(one: Input, io: Any) -> Any:
    """An input of V3."""
    kind = getattr(io, TYPES[one.kind])
    return kind.Input(one.name, optional=one.optional, tooltip=one.tooltip, **one.options)


def as_v1(node: Node) -> type:
    """A node as a class of V1."""
    def input_types(cls: type) -> dict[str, dict[str, tuple]]:
        groups: dict[str, dict[str, tuple]] = {"required": {}, "optional": {}}
        for one in node.inputs:
            groups["optional" if one.optional else "required"][one.name] = v1_input(one)
        return groups

    def execute(self: Any, **inputs: Any) -> tuple:
        return node.make(**inputs)

    return type(node.id, (), {
        "INPUT_TYPES": classmethod(input_types), "RETURN_TYPES": ("IMAGE",) * len(node.outputs),
        "RETURN_NAMES": node.outputs, "FUNCTION": "execute", "CATEGORY": CATEGORY,
        "DESCRIPTION": node.about, "execute": execute})


def v1_input(one: Input) -> tuple:
    """An input of V1: its type, or what can be chosen, and its options."""
    options = {**one.options, "tooltip": one.tooltip}
    return options.pop("options", one.kind), options
