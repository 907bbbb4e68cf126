"""What is on the disk: a folder for each photo under uploads/, with the photo, its settings, its mask and what its runs
told. Results go where the script puts them, samples/ and checkpoints/; nothing else is read or written."""

import asyncio
import filecmp
import json
import os
import re
import shutil
from pathlib import Path

from texture_diffusion_tools.running import files
from texture_diffusion_tools.running.constants import SEAMS
from texture_diffusion_tools.running.errors import UserError

from . import costs, runs

PHOTOS = Path("uploads")
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".tga", ".dds", ".avif",
            ".heic", ".heif", ".exr"}
LONGEST_NAME = 60  # characters
PREPARED_BY = ("CORNERS", "CROP", "EVEN_LIGHT", "MASK")  # what the photo is that a model learns
ESTIMATED_BY = ("MAPS", "LIGHT", "DELIGHT")  # and which maps it has
LARGER = ("OUTPUT_SIZE", "TILEABLE", "WANG", "MASK")  # with one of these more than a photo's maps is made
EPOCHS, MAX_SIDE = SEAMS["EPOCHS"], 1024  # the script's defaults
HESITATE = 1.5  # seconds


class Project:
    """A photo, or a folder of a material's maps, and all that was done with it."""

    def __init__(self, folder, constants=()):
        self.folder, self.name, self.constants = folder, folder.name, list(constants)
        self.told, self.process = runs.Told(folder / "events.jsonl"), None
        self.begun = 0  # epochs of a run that this page started and that began a model, else 0
        self.settings = {}
        if (folder / "settings.json").exists():
            self.settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))

    @property
    def image(self):
        """The path of the photo, or of the folder of maps."""
        return next((path for path in sorted(self.folder.glob(f"{self.name}*"))
                     if path.is_dir() or path.suffix.lower() in SUFFIXES), self.folder / self.name)

    @property
    def textures(self) -> list[str]:
        """The paths of several textures; none if it is one photo or a material."""
        return self.settings.get("textures", [])

    @property
    def photo(self) -> Path:
        """What is shown of it: the first of several textures, else the photo or the material."""
        return Path(self.textures[0]) if self.textures else self.image

    @property
    def model(self):
        """The path of the photo's model."""
        name = "+".join(files.name_of(path) for path in self.textures) + ".png"
        return Path("checkpoints") / f"{files.name_of(name if self.textures else self.image)}.pt"

    @property
    def max_side(self):
        """The longer side that the script shrinks a photo to."""
        given = [word.partition("=")[2] for word in self.constants if word.startswith("MAX_SIDE=")]
        return int(given[-1]) if given and given[-1].isdigit() else MAX_SIDE

    def view(self, name):
        """The path of a picture that is only there to be looked at."""
        (self.folder / "view").mkdir(exist_ok=True)
        return self.folder / "view" / name

    def set(self, **settings):
        """Change settings, constants of the script; None or the like takes one back, and 0 does not."""
        found = {name: value for name, value in {**self.settings, **settings}.items()
                 if value is not None and value is not False and value not in ("", "none")}
        path = self.folder / "settings.json"
        if found != self.settings or not path.exists():
            self.settings, text = found, json.dumps(found, indent=1)
            files.write_atomically(path, lambda file: file.write(text.encode()))

    def bring_back(self, settings):
        """Take back the settings with which a texture was drawn; those that say what the photo is stay known."""
        kept = {name: value for name, value in self.settings.items() if not name.isupper()
                and name not in ("strokes", "painted")}
        self.set(**{**dict.fromkeys(self.settings), **settings, **kept})

    def prepared_by(self):
        """Those settings that change what the photo is."""
        return {name: self.settings[name] for name in PREPARED_BY if name in self.settings}

    def learned_by(self):
        """Those settings that change what a model learns."""
        return {**self.prepared_by(), **{name: self.settings[name] for name in ESTIMATED_BY
                                         if name in self.settings and self.has_maps()}}

    def takes_maps(self):
        """Whether maps can be estimated: of one photo that is no pixel art."""
        pixels = "PIXELS" in self.settings or any(word.startswith("PIXELS=") for word in self.constants)
        return not (pixels or self.textures or self.image.is_dir())

    def has_maps(self):
        """Whether maps are estimated."""
        return "MAPS" in self.settings and self.takes_maps()

    def is_maps_alone(self):
        """Whether the photo's maps are all that is made, without a model; as the script's estimates.alone()."""
        larger = any(name in self.settings for name in LARGER)
        return self.has_maps() and self.settings.get("SCALE") == 1 and not larger

    def arguments(self, **more):
        """The script's arguments for the settings and more of them: the photo, and NAME=value of each that counts."""
        values = {name: value for name, value in {**self.settings, **more}.items()
                  if name.isupper() and (name not in ESTIMATED_BY or self.has_maps())}
        own = [f"{name}={tupled(value)}".replace(" ", "") for name, value in values.items() if value is not None]
        named = {word.partition("=")[0] for word in own}
        image = f"IMAGE=({','.join(map(json.dumps, self.textures))})" if self.textures else self.image.as_posix()
        return [image, *(word for word in self.constants if word.partition("=")[0] not in named), *own]

    def start(self, **more):
        """Start a run with the settings and more of them; UserError if one is at work."""
        self.told.read()
        if self.told.is_running():
            raise UserError(f"another run works on {self.name}; wait until it ends, or stop it")
        if not self.is_maps_alone():
            more.update(self.trained_anew(more.get("EPOCHS", EPOCHS)))
        fresh = not self.model.exists() or more.get("FRESH", False)
        self.begun = more.get("EPOCHS", EPOCHS) if fresh else 0
        self.process = runs.start(self.arguments(**more), self.told.path, self.folder / "log.txt",
                                  self.settings)
        self.told.read()

    def trained_anew(self, epochs):
        """FRESH=True if the model learned from the photo as it was before it was changed, UserError if it is to be
        drawn so; remember of which photo it learns now."""
        before, now = self.settings.get("trained"), self.learned_by()
        changed = before is not None and before != now and self.model.exists()
        if changed and not epochs:
            raise UserError("the model learned from the photo as it was before you changed it; give it some "
                            "seconds of training, and it starts anew")
        if epochs:
            self.set(trained=now)
        return {"FRESH": True} if changed else {}

    def stop(self):
        """Ask the run that is at work to save and end."""
        if self.told.is_running():
            runs.stop(self.told.process[0], self.told.path)

    def poll(self):
        """Take in what was told; let go of a process that has ended."""
        if self.process is not None and self.process.poll() is not None:
            self.process = None
        self.told.read()


class Projects:
    """All photos, by name; the newest first."""

    def __init__(self, constants=()):
        self.constants, self.all = constants, {}
        self.costs, self.measuring = None, None  # what was measured, and the task that does it
        PHOTOS.mkdir(exist_ok=True)
        for folder in sorted(PHOTOS.iterdir(), key=lambda path: -path.stat().st_mtime):
            if is_name(folder.name) and (folder / "settings.json").is_file():  # others are not the page's
                self.open(folder)

    def open(self, folder):
        """The Project in a folder."""
        self.all[folder.name] = Project(folder, self.constants)
        self.all[folder.name].told.read()
        return self.all[folder.name]

    def add(self, uploads):
        """The Project of uploads, [(name as it was sent, path of a temporary file)]: a photo, or several maps; one that
        is there already if it is the same. UserError if none can be a picture."""
        known = [(Path(name), path) for name, path in uploads if Path(name).suffix.lower() in SUFFIXES]
        if not known:
            raise UserError(f"{safe_name(uploads[0][0])} is not a picture in one of the formats "
                            f"{', '.join(sorted(suffix[1:].upper() for suffix in SUFFIXES))}")
        stems = [safe_name(name.stem) for name, _ in known]
        name = stems[0] if len(known) == 1 else safe_name(os.path.commonprefix(stems).strip("_-.")) or "material"
        targets = [f"{name}{known[0][0].suffix.lower()}"] if len(known) == 1 else \
            [f"{name}/{stem}{path.suffix.lower()}" for stem, (path, _) in zip(stems, known)]
        for number in range(1, 1000):
            folder = PHOTOS / (f"{name}-{number}" if number > 1 else name)
            renamed = [target.replace(name, folder.name, 1) for target in targets]
            if folder.name in self.all and all(
                    (folder / target).is_file() and filecmp.cmp(folder / target, path, shallow=False)
                    for target, (_, path) in zip(renamed, known)):
                return self.all[folder.name]
            if not folder.exists():
                break
        for target, (_, path) in zip(renamed, known):
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / target)
        project = self.open(folder)
        project.set()
        return project

    def measure(self, project):
        """Have measured what training and drawing cost here, once, by a run of a photo; none may be at work."""
        ready = "used" in project.settings and not self.is_busy()
        if self.costs is None and self.measuring is None and ready:
            self.measuring = asyncio.get_running_loop().create_task(self.measured(project))

    async def measured(self, project):
        """Wait a moment, so that who draws at once need not share the machine, and measure."""
        await asyncio.sleep(HESITATE)
        if not self.is_busy():
            self.costs = await costs.measured(project.arguments(WANG=None, MAPS=None, LIGHT=None, DELIGHT=None))

    def stop_measuring(self):
        """A run begins, which says itself what it will cost."""
        if self.measuring is not None and self.costs is None:
            self.measuring.cancel()
            self.measuring = None

    def is_busy(self):
        """Whether a run is at work."""
        return any(project.told.is_running() for project in self.all.values())

    def learn_costs(self, project):
        """Take what training and drawing cost from what a run says, if that is not known."""
        if self.costs is None and "WANG" not in project.told.settings:  # more of those is drawn
            self.costs = costs.told(project.told.said, project.begun)

    def expect(self, project, epochs, size):
        """What training a photo for so many epochs and drawing it in a size will cost, in words."""
        if project.is_maps_alone():
            return "the photo's own maps: nothing is trained or drawn"
        if self.costs is not None and size is None:
            return "how long it takes is said when it begins"
        if self.costs is None:
            measuring = self.measuring is not None and not self.measuring.done()
            return "how long it takes here is being measured" if measuring else "how long it takes is said soon"
        return self.costs.says(epochs, size)

    def remove(self, project):
        """Forget what was just uploaded and turned out to be no photo, with its folder."""
        self.all.pop(project.name, None)
        shutil.rmtree(project.folder, ignore_errors=True)


def tupled(value):
    """A value with tuples in place of the lists that JSON made of them."""
    return tuple(map(tupled, value)) if isinstance(value, (list, tuple)) else value


def safe_name(text):
    """A name for a folder made of any text: word characters, dots and dashes; no path, never empty."""
    name = re.sub(r"[^\w.-]+", "_", text.replace("\\", "/").rsplit("/", 1)[-1]).strip("._-")[:LONGEST_NAME].strip("._-")
    return files.unreserved(name) or "photo"


def is_name(name):
    """Whether a name is one that safe_name makes."""
    return safe_name(name) == name
