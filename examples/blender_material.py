"""A drawn material as a material of Blender: run in Blender, it builds the nodes that EXPORT=mtlx describes.

    python texture_diffusion.py rock/ EXPORT=mtlx
    blender scene.blend --python examples/blender_material.py -- samples/rock/output_texture_3x3/rock.mtlx

The material gets the name that the file gives it, is kept with the scene, and is given to the active object if that is
a mesh. It needs nothing but Blender, 3.4 or newer by its manual: it was tried with a stand-in for Blender's nodes, not
in Blender.
"""

import sys
import xml.etree.ElementTree as xml
from pathlib import Path

SOCKETS = {  # of the Principled BSDF, by the input of standard_surface; the second name is that of Blender 3
    "base_color": ("Base Color",), "metalness": ("Metallic",), "specular_roughness": ("Roughness",),
    "normal": ("Normal",), "opacity": ("Alpha",), "emission_color": ("Emission Color", "Emission"),
    "emission": ("Emission Strength",)}
CHANNELS = ("Red", "Green", "Blue")
APART = 300  # between columns and rows of nodes


class Builder:
    """Builds the nodes of a material from those of a .mtlx file."""

    def __init__(self, path, tree, load):
        """tree: a node tree of Blender; load(path): a picture of Blender."""
        self.folder, self.tree, self.load = Path(path).parent, tree, load
        self.nodes = {node.get("name"): node for node in xml.parse(path).getroot()}
        self.made = next(node for node in self.nodes.values() if node.tag == "surfacematerial")
        self.coloured = {file.get("value") for node in self.nodes.values() for file in node if file.get("colorspace")}
        self.pictures, self.rows = {}, 0

    def new(self, kind, column):
        """A new node in a column, counted from the right."""
        node = self.tree.nodes.new(kind)
        node.location = (-APART * column, -APART * self.rows)
        return node

    def link(self, output, socket):
        """Link an output with an input."""
        self.tree.links.new(output, socket)

    def build(self):
        """Build all nodes."""
        output, surface = self.new("ShaderNodeOutputMaterial", 0), self.new("ShaderNodeBsdfPrincipled", 1)
        self.link(surface.outputs["BSDF"], output.inputs["Surface"])
        for given in self.source_of(self.made, "surfaceshader"):
            names = SOCKETS.get(given.get("name"), ())
            socket = next((surface.inputs[name] for name in names if name in surface.inputs), None)
            if socket is not None and given.get("nodename"):
                self.link(self.output_of(self.nodes[given.get("nodename")]), socket)
                self.rows += 1
            elif socket is not None:
                socket.default_value = float(given.get("value"))
        if self.made.find("input[@name='displacementshader']") is not None:
            height = self.displaced(self.source_of(self.made, "displacementshader"))
            self.link(height, output.inputs["Displacement"])

    def source_of(self, node, name):
        """The node in the file that an input of another comes from."""
        return self.nodes[node.find(f"input[@name='{name}']").get("nodename")]

    def output_of(self, node):
        """The output of Blender's node for one of the file, which is built."""
        if node.tag == "tiledimage":
            return self.picture(node).outputs["Color"]
        source = self.source_of(node, "in")
        if node.tag == "extract":
            return self.channel(source, int(node.find("input[@name='index']").get("value")))
        if node.tag == "normalmap":
            found = self.new("ShaderNodeNormalMap", 2)
            self.link(self.output_of(source), found.inputs["Color"])
            return found.outputs["Normal"]
        return self.output_of(source)  # convert

    def picture(self, node):
        """The node of a file, one for all that is in it."""
        name = node.find("input[@name='file']").get("value")
        if name not in self.pictures:
            self.pictures[name] = self.new("ShaderNodeTexImage", 4)
            self.pictures[name].image = self.load(str(self.folder / name))
            if node.find("input[@name='filtertype']") is not None:
                self.pictures[name].interpolation = "Closest"
            if name not in self.coloured:
                self.pictures[name].image.colorspace_settings.name = "Non-Color"
        return self.pictures[name]

    def channel(self, node, index):
        """The output of one channel of a file; the last of two or four is alpha."""
        if index == 3 or node.get("type") == "vector2" and index == 1:
            return self.picture(node).outputs["Alpha"]
        found = self.new("ShaderNodeSeparateColor", 3)
        self.link(self.picture(node).outputs["Color"], found.inputs["Color"])
        return found.outputs[CHANNELS[index]]

    def displaced(self, node):
        """The output of a Displacement node, whose height is around 0.5."""
        found = self.new("ShaderNodeDisplacement", 1)
        found.inputs["Midlevel"].default_value = 0.5
        found.inputs["Scale"].default_value = float(node.find("input[@name='scale']").get("value"))
        self.link(self.output_of(self.source_of(self.source_of(node, "displacement"), "in1")), found.inputs["Height"])
        return found.outputs["Displacement"]


def main(path):
    """Build the material in the open scene."""
    import bpy

    material = bpy.data.materials.new(Path(path).stem)
    material.use_nodes, material.use_fake_user = True, True
    material.node_tree.nodes.clear()
    builder = Builder(path, material.node_tree, bpy.data.images.load)
    material.name = builder.made.get("uiname")
    builder.build()
    if hasattr(material, "displacement_method"):
        material.displacement_method = "DISPLACEMENT"  # as bumps, heights would add to the normals
    active = bpy.context.active_object
    if active is not None and active.type == "MESH":
        active.data.materials.append(material)
    print(f"{material.name}: {len(material.node_tree.nodes)} nodes")


if __name__ == "__main__":
    if "--" not in sys.argv or len(sys.argv) != sys.argv.index("--") + 2:
        sys.exit("give the .mtlx file behind --, as in: blender --python blender_material.py -- rock.mtlx")
    main(sys.argv[-1])
