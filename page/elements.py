"""Three elements of our own, each with its script beside it, of what NiceGUI ships for its map and its 3D scene."""

from pathlib import Path

import nicegui
from nicegui import ui

SHIPPED = Path(nicegui.__file__).parent / "elements"


class Viewer(ui.element, component="viewer.js", esm={"nicegui-leaflet": str(SHIPPED / "leaflet" / "dist")}):
    """Pictures of any size side by side, to pan and zoom, as pyramids of tiles (Leaflet).

    panes: dicts with title, width, height, in pixels, and either tiles (an address with {z}, {x}, {y}) and zoom (the
    largest with tiles), or picture (an address); overlay (the address of a picture over it) is optional. Pyramids move
    together, a plain picture keeps to their scale.
    """

    def __init__(self):
        super().__init__()
        self.add_resource(SHIPPED / "leaflet" / "dist")
        self._props.update(panes=[], overlaid=False)

    def show(self, panes, overlaid=False):
        """Show panes; overlaid: with their overlays."""
        if self._props["panes"] != panes or self._props["overlaid"] != overlaid:
            self._props.update(panes=panes, overlaid=overlaid)
            self.update()


class Lit(ui.element, component="lit.js", esm={"nicegui-scene": str(SHIPPED / "scene" / "dist")}):
    """A material on a plane and on a sphere, under a light that follows the pointer (three.js).

    maps: addresses by kind (colour, normal, roughness, height, occlusion, metal); down: whether green points down in
    the normals.
    """

    def __init__(self):
        super().__init__()
        self._props.update(maps={}, down=False)

    def show(self, maps, down=False):
        """Show a material."""
        if self._props["maps"] != maps:
            self._props.update(maps=maps, down=down)
            self.update()


class Turned(ui.element, component="turned.js", esm={"nicegui-scene": str(SHIPPED / "scene" / "dist")}):
    """A .glb at an address, to be turned in the light (three.js)."""

    def __init__(self):
        super().__init__()
        self._props.update(address="")

    def show(self, address):
        """Show a file; "": none."""
        if self._props["address"] != address:
            self._props["address"] = address
            self.update()
