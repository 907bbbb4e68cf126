"""Step 3: the textures, at any size: beside the photo or another one, their tiles, repeated; other seeds; a material
under a light."""

import shutil

from nicegui import ui

from . import offers, pool, runs, workers
from .elements import Lit, Turned, Viewer
from .names import is_material, key_of, name_of, picture_of, stamp_of

KEPT = 8  # pyramids that are kept of a photo


class LookStep:
    """The third step of a Desk."""

    def __init__(self, desk):
        self.desk, self.project, self.output, self.other, self.wanted = desk, None, None, None, 0
        with ui.element("div").classes("room"):
            with ui.element("div").classes("stage"):
                self.empty = ui.label("Nothing was drawn of this photo yet.").classes("quiet")
                self.viewer, self.lit, self.turned = Viewer(), Lit(), Turned()
                self.thumbs = ui.element("div").classes("thumbs")
                self.thumbs.props("role=group aria-label='textures of this photo'")
            with ui.element("div").classes("side"):
                self.what = ui.label().classes("quiet")
                self.photo = ui.switch("The photo beside it", value=True, on_change=self.refresh)
                self.overlaid = ui.switch("Which pixels are drawn (blue)", on_change=self.refresh)
                self.repeated = ui.switch("Repeated 3 x 3", on_change=self.refresh)
                self.under_light = ui.switch("Under a light", on_change=self.refresh)
                self.in_space = ui.switch("Turned in the light (.glb)", on_change=self.refresh)
                self.beside = ui.select({}, label="Another texture beside it", on_change=self.chosen)
                self.beside.props("dense clearable").classes("w-full")
                self.again = ui.button("Another seed", on_click=self.another).props("unelevated no-caps")
                self.again.classes("w-full")
                self.busy = ui.label().classes("quiet").props("role=status")
                ui.button("Take it", on_click=lambda: desk.go("Take")).props("outline no-caps").classes("w-full")
                ui.label("Drag, pinch or use the wheel; arrow keys, plus and minus work, too.").classes("quiet")
                self.figures = ui.label().classes("quiet").style("white-space: pre-line")

    async def show(self, project):
        """Show a photo's textures."""
        if project is not self.project:
            self.project, self.output, self.other = project, None, None
        told, running = project.told, project.told.is_running()
        self.busy.set_text(runs.describe(told))
        self.again.set_enabled(not running and not project.is_maps_alone())
        outputs = [texture.output for texture in told.textures]
        newest = (told.began, outputs[:1])
        if self.output not in outputs or newest != getattr(self, "newest", None):
            self.output = outputs[0] if outputs else None
            if self.output and is_material(self.output) and not project.photo.is_dir():  # maps that were asked for
                self.under_light.set_value(True)
        self.newest = newest
        self.beside.set_options({output: name_of(output) for output in outputs if output != self.output},
                                value=self.other if self.other in outputs and self.other != self.output else None)
        await self.refresh()

    def chosen(self, event):
        """Another texture was chosen to be seen beside it."""
        self.other = event.value
        return self.refresh()

    async def pick(self, output):
        """Another texture was chosen."""
        self.output = output
        await self.show(self.project)

    async def refresh(self, _=None):
        """Show what is chosen; of several wishes at once the last one counts."""
        self.wanted += 1
        wanted, project = self.wanted, self.project
        if project is None:
            return
        texture = self.texture(self.output)
        self.empty.visible, self.viewer.visible = texture is None, texture is not None
        if texture is None:
            self.lit.visible = self.turned.visible = False
            self.viewer.show([])
            self.thumbs.clear()
            return
        material = is_material(texture.output)
        self.under_light.visible, self.overlaid.visible = material, texture.tiles is not None
        turned = self.in_space.value
        lighted = material and self.under_light.value and not turned
        self.viewer.visible, self.lit.visible, self.turned.visible = not (lighted or turned), lighted, turned
        panes = [pane for pane in [self.photo_pane() if self.photo.value else None,
                                   await self.pane(texture), await self.pane(self.texture(self.other))] if pane]
        if wanted == self.wanted:
            self.viewer.show(panes, self.overlaid.value)
            self.describe(texture)
            await self.show_thumbs()
            if lighted:
                await self.light(texture)
            if turned:
                await self.turn(texture)

    def texture(self, output):
        """What was told of a texture, or None."""
        return next((texture for texture in self.project.told.textures if texture.output == output), None)

    def describe(self, texture):
        """A texture's name and figures."""
        figures = texture.figures
        self.what.set_text(name_of(texture.output) + (f", {figures['size']} pixels" if "size" in figures else ""))
        names = {"seam_ratio_1st": "seams (1: invisible)", "colour_difference": "colour off by (1: just visible)",
                 "sampling_seconds": "drawn in, seconds", "training_seconds": "trained in, seconds"}
        self.figures.set_text("\n".join(f"{said}: {figures[name]}" for name, said in names.items() if name in figures))

    def photo_pane(self):
        """The photo, as it was used, for the viewer."""
        path = self.project.view("prepared.png")
        if not (path.exists() and "used" in self.project.settings):
            return None
        width, height = self.project.settings["used"]
        return {"title": "the photo", "width": width, "height": height, "zoom": 0,
                "picture": f"/view/{self.project.name}/{path.name}?{stamp_of(path)}"}

    async def pane(self, texture):
        """A texture for the viewer, None if there is none or it is gone."""
        path = picture_of(texture) if texture else None
        if path is None or not path.exists():
            return None
        times = 3 if self.repeated.value else 1
        key = key_of(path, times)
        folder = self.project.view(f"pyramid_{key}")
        if not folder.exists():
            self.busy.set_text("cutting it into tiles for the view ...")
        found, sentence = await pool.call(workers.pyramid, str(path), str(folder), times)
        self.busy.set_text("")
        if found is None:
            self.desk.say(sentence)
            return None
        self.tidy(folder)
        width, height, zoom = found
        pane = {"title": name_of(texture.output), "width": width, "height": height, "zoom": zoom,
                "tiles": f"/tiles/{self.project.name}/{key}/{{z}}/{{y}}/{{x}}.png"}
        if texture.tiles and times == 1:
            overlay = self.project.view(f"overlay_{key}.png")
            if not overlay.exists():
                await pool.call(workers.overlay, texture.tiles, str(overlay))
            pane["overlay"] = f"/view/{self.project.name}/{overlay.name}"
        return pane

    def tidy(self, newest):
        """Delete the pyramids that were not looked at for longest."""
        newest.touch()
        folders = sorted(newest.parent.glob("pyramid_*"), key=lambda path: path.stat().st_mtime)
        for folder in folders[:-KEPT]:
            shutil.rmtree(folder, ignore_errors=True)

    async def show_thumbs(self):
        """A row of small pictures of all textures."""
        shown = [(texture.output, texture.output == self.output) for texture in self.project.told.textures]
        stamps = [stamp_of(picture_of(texture)) for texture in self.project.told.textures]
        if getattr(self, "thumbs_shown", None) == (self.project.name, shown, stamps):
            return
        self.thumbs_shown = self.project.name, shown, stamps
        self.thumbs.clear()
        for texture in self.project.told.textures:
            path = picture_of(texture)
            if not path.exists():
                continue
            target = self.project.view(f"thumb_{key_of(path)}.png")
            if not target.exists():
                await pool.call(workers.thumbnail, str(path), str(target))
            name = name_of(texture.output)
            with self.thumbs, ui.element("button").classes("thumb").props(
                    f"type=button aria-pressed={'true' if texture.output == self.output else 'false'} "
                    f'aria-label="show {name}"').on("click", lambda output=texture.output: self.pick(output)):
                ui.image(f"/view/{self.project.name}/{target.name}").props("no-spinner no-transition alt=''")
                drawn = name if self.project.textures else f"seed {texture.seed}"
                ui.label("repaired" if texture.repaired else "the photo" if texture.estimated else drawn)

    async def light(self, texture):
        """Show a material under the light."""
        folder = self.project.view(f"lit_{key_of(picture_of(texture))}")
        self.busy.set_text("putting its maps under a light ...")
        found, sentence = await pool.call(workers.lit, str(self.project.image), texture.output, str(folder))
        self.busy.set_text(runs.describe(self.project.told))
        if found is None:
            return self.desk.say(sentence)
        at = f"/view/{self.project.name}/{folder.name}"
        self.lit.show({kind: f"{at}/{kind}.png" for kind in found["kinds"]}, found["down"])

    async def turn(self, texture):
        """Show a texture's .glb."""
        found, sentence = await offers.exported(self.project, texture, "GLB")
        if found is None:
            return self.desk.say(sentence)
        self.turned.show(f"/glb/{self.project.name}/{key_of(picture_of(texture))}.glb")

    def another(self):
        """Draw with the next seed, with the model as it is."""
        seeds = [int(texture.seed) for texture in self.project.told.textures] if self.project else []
        self.desk.start(EPOCHS=0, SEED=max(seeds, default=-1) + 1)
