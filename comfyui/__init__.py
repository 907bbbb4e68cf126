"""Nodes for ComfyUI: a texture from a picture, a material from maps, a texture repaired.

ComfyUI loads this folder from its custom_nodes. Its versions that have the V3 schema are given
that, earlier ones plain classes.
"""

from .api import as_v1, as_v3
from .nodes import NODES

try:
    from comfy_api.latest import ComfyExtension, io
except ImportError:  # before V3
    NODE_CLASS_MAPPINGS = {node.id: as_v1(node) for node in NODES}
else:
    NODE_CLASS_MAPPINGS = {node.id: as_v3(node, io) for node in NODES}

    class TextureDiffusionExtension(ComfyExtension):
        """What V3 asks for the nodes."""

        async def get_node_list(self) -> list[type[io.ComfyNode]]:
            """The classes of all nodes."""
            return list(NODE_CLASS_MAPPINGS.values())

    async def comfy_entrypoint() -> TextureDiffusionExtension:
        """What V3 calls when it loads this folder."""
        return TextureDiffusionExtension()

NODE_DISPLAY_NAME_MAPPINGS = {node.id: node.title for node in NODES}
