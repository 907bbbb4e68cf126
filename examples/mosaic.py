"""One picture of any size, drawn by any number of jobs that never wait for each other.

    python examples/mosaic.py wall.tif 20000x10000 rock.jpg                 the whole picture
    python examples/mosaic.py wall.tif 20000x10000 rock.jpg --job 2/8       the second eighth of its rows

A part of the endless plane of a photo (OUTPUT_SIZE = "endless" of texture_diffusion.py), from the pixel --at X,Y on, in
one BigTIFF without compression, which may be larger than the memory. Each job draws its rows and writes them where they
belong, so that jobs on one machine, or on several that see the same file, make one picture together, each when it
likes. They draw with the photo's model, which texture_diffusion.py has trained before, or with the prior. Constants of
the script are given as NAME=value. A job that was stopped goes on by the same command.
"""

import argparse
import contextlib
import os
import time
from pathlib import Path

import numpy as np
from common import need, td

from texture_diffusion_tools.canvases import textures
from texture_diffusion_tools.laying import layouts
from texture_diffusion_tools.reading import exemplars, several
from texture_diffusion_tools.running import constants, exit_codes, files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import drawings


class TiffRows:
    """For drawings.Drawing what png.PngBands is: the rows of a picture on the disk, x [H, W, channels], from one on."""

    def __init__(self, x, row):
        self.x, self.row = x, row

    def write(self, pixels):
        """Add rows [h, W] or [h, W, channels]."""
        self.x[self.row:self.row + len(pixels)] = pixels.reshape(len(pixels), *self.x.shape[1:])
        self.x.flush()
        self.row += len(pixels)

    def state(self):
        """What is needed to go on."""
        return {"row": self.row}

    def resume(self, row):
        """Go on from a state."""
        self.row = row


def share_of(height, job, count, tile):
    """The first row of a picture and the one after the last that one of so many jobs, counted from 1, draws: whole
    tiles but for those at the end."""
    tiles = -(-height // tile)
    if not 1 <= job <= count <= tiles:
        raise UserError(f"--job {job}/{count}: {height} rows can be shared by up to {tiles} jobs, 1/{tiles} to "
                        f"{tiles}/{tiles}")
    return tuple(min(height, tiles * k // count * tile) for k in (job - 1, job))


def open_picture(path, shape, dtype):
    """The pixels of the TIFF at path, an array [H, W, channels] on the disk; the first job that asks makes it, with all
    pixels 0. UserError if there is another picture."""
    tifffile = need("tifffile", "tifffile")
    if not path.exists():
        size = shape[0] * shape[1] * shape[2] * dtype.itemsize
        files.check_room(path.parent, size, f"a picture of {shape[1]} x {shape[0]} pixels")
        made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        photometric = "rgb" if shape[2] > 1 else None
        tifffile.imwrite(made, None, shape=shape, dtype=dtype, bigtiff=True, photometric=photometric)
        name_once(made, path)
        with contextlib.suppress(OSError):  # Windows deletes none that a scanner has open
            made.unlink(missing_ok=True)
    x = tifffile.memmap(path, mode="r+")
    if x.size != shape[0] * shape[1] * shape[2] or x.dtype != dtype:
        raise UserError(f"{path} is there already and no picture of {shape[1]} x {shape[0]} pixels with {shape[2]} "
                        f"channels of {dtype}; delete it, or give another name")
    return x.reshape(shape)


def name_once(made, path):
    """Give a whole file its name, unless another job's has it, which was faster."""
    try:
        os.link(made, path)
    except FileExistsError:
        return
    except OSError:  # a disk without links, such as exFAT: one job at a time looks, and renames
        for _ in range(50):
            with contextlib.suppress(UserError), files.locked(path.with_name(f".{path.name}.lock"), path.name):
                if not path.exists():
                    files.replace(made, path)
                return
            time.sleep(0.1)


def draw(path, size, at, job, words):
    """Draw the rows of a job (number, of how many) of a picture of a size (w, h) at (x, y) of the plane."""
    c = constants.settings(td.main, td.main(use=dict), words)
    c.EPOCHS, c.OUTPUT_SIZE, c.FRESH = 0, constants.ENDLESS, False
    first_row, end = share_of(size[1], *job, c.TILE_SIZE)
    c.REGION = (at[0], at[1] + first_row, size[0], end - first_row)
    c = constants.check_rules(c, td.CHOICES)
    with contextlib.ExitStack() as stack:
        found = exemplars.read(several.paths_of(c, td.HERE, stack), c, td.tile_multiple(c.WIDTHS))
    if len(found) > 1 or found[0].channels.folder:
        raise UserError("a mosaic is of one photo; draw maps and several textures with texture_diffusion.py by REGION")
    model = td.Model(found, c)
    model.trainer = td.prepare_trainer(model, Path(c.CHECKPOINT_DIR) / f"{model.name}.pt")

    # the rows are written where they belong, and what is left of them kept beside the picture
    task, = td.canvases(model)
    layout, (corner, rows) = task.canvas.layout, layouts.window_of(task.canvas.grid, c.REGION)
    bands, formats = drawings.bands_of(corner, rows, c.TILE_SIZE), task.photo.channels.formats()
    made_of = [model.digest, size, at, job, sorted(vars(c).items()), layout.source, *task.net.state_dict().values()]
    own = path.with_name(f"{path.stem}_job_{job[0]}_of_{job[1]}")
    drawing = drawings.Drawing([own], formats, rows, bands, {}, made_of)
    channels, depth, _ = formats[0]
    x = open_picture(path, (size[1], size[0], channels), np.dtype(f"uint{depth}"))
    drawing.writers = [TiffRows(x, first_row)]
    td.draw(textures.Texture(task, bands, drawing), task.denoiser, c.BATCH_SIZE, c.SEED)
    print(f"rows {first_row} to {end - 1} of {path}: drawn")


def numbers(separator, count=2):
    """A reader of so many whole numbers with a separator between them."""
    def read(text):
        found = tuple(int(part) for part in text.split(separator))
        if len(found) != count:
            raise ValueError
        return found

    read.__name__ = f"numbers such as 1{separator}2"
    return read


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("size", type=numbers("x"), help="width x height, pixels")
    parser.add_argument("words", nargs="*", help="the photo, and constants NAME=value")
    parser.add_argument("--at", type=numbers(","), default=(0, 0), help="its upper left corner X,Y in the plane")
    parser.add_argument("--job", type=numbers("/"), default=(1, 1), help="which job of how many: 2/8")
    words = parser.parse_intermixed_args(argv)
    draw(words.picture, words.size, words.at, words.job, words.words)


if __name__ == "__main__":
    raise SystemExit(exit_codes.run(main))
