"""An exemplar: what was read of a photo, or of a folder of a material's maps, as values of one
picture.

What a mask hides, and what holds no data, is filled with what matches around it: it is not usable,
neither to be learned nor to be shown.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from ..laying import holes
from ..running import constants, files
from ..running.errors import UserError, printable
from ..writing.drawings import digest_of_all
from . import channels, estimates, masks, materials, perspective, photos, pixel_art, several
from .channels import Channels


class Exemplar(NamedTuple):
    """What was read of one photo or material."""

    name: str  # file name without folder and suffix
    values: torch.Tensor  # float32 [C, H, W] in [-1, 1]
    channels: Channels  # what they are
    usable: torch.Tensor  # bool [H, W], what may be learned, matched and laid out
    digest: str  # SHA-256 of the pixels as used, hexadecimal
    notes: tuple[str, ...] = ()  # sentences for the person: what was changed on the way in
    mask: masks.Mask | None = None  # what is to be repaired
    prepared: Prepared | None = None  # how it was before it was straightened, or evenly lit
    # [H, W], degrees by which estimated normals are unsure; None: none are estimated
    doubt: np.ndarray | None = None


class Prepared(NamedTuple):
    """A photo, or what is seen of a material, as it was before anything but a crop."""

    pixels: np.ndarray  # uint8 [H, W] or [H, W, 3]
    corners: tuple | None  # of what was straightened, ((x, y), ...) in pixels


class Reading(NamedTuple):
    """How a photo is read; see photos.read_photo and materials.read_material."""

    crop: tuple[int, int, int, int] | None = None
    max_side: float = 1024
    even: bool = False
    corners: tuple | str | None = None  # "auto": they are looked for
    aspect: float | None = None
    # bits a channel of what is written, 8 or 16; None: as many as the file has
    depth: int | None = 8
    alpha: str = "fill"  # "fill": transparency is filled, "draw": it is a channel
    mask: str | tuple | None = None  # as in masks.read_mask
    # pixels: of what is hidden squares of half that side are filled, see holes.sources_of
    tile: int = 128
    least: int = 0  # pixels to which max_side shrinks the shorter side at most
    # by what pixel art is enlarged, and the side that it needs at least
    art: tuple[int, int] | None = None
    complete: bool | float = False
    maps: estimates.Wish | None = None  # maps that are estimated


def read(paths: list[str], c: SimpleNamespace, tile_multiple: int) -> tuple[Exemplar, ...]:
    """The exemplars at paths, as the constants c say; tile_multiple: what a tile's side is a
    multiple of, pixels. UserError with a sentence for the person."""
    art = (c.PIXELS, 3 * tile_multiple) if c.PIXELS else None
    how = Reading(c.CROP, c.MAX_SIDE, c.EVEN_LIGHT, c.CORNERS, c.ASPECT, c.DEPTH, c.ALPHA, c.MASK,
                  c.TILE_SIZE, 3 * c.TILE_SIZE, art, c.COMPLETE, estimates.wished(c))
    found = tuple(read_exemplar(path, how) for path in paths)

    if len(found) > 1:
        several.check_plain(found)
    return found


def read_exemplar(path: str, how: Reading) -> Exemplar:
    """The Exemplar at a path, of a picture file or of a folder of maps; UserError with a sentence
    for the person."""
    before = None
    if how.corners or how.even:
        before = original_pixels(path, None if how.corners else how.crop)
    corners, notes = corners_in(path, how.corners, before)
    if how.corners and not corners and how.crop:  # none were found
        before = original_pixels(path, how.crop)

    hidden = None if how.mask is None else masks.read_mask(how.mask, path, notes)
    read_it = read_maps if os.path.isdir(path) else read_picture
    found = read_it(path, how._replace(corners=corners), hidden, notes)
    if not corners and not how.even:
        return found
    return found._replace(prepared=Prepared(cast(np.ndarray, before), corners))


def read_maps(path: str, how: Reading, hidden: np.ndarray | None, notes: list[str]) -> Exemplar:
    """The Exemplar of a material's maps; hidden: what a mask hides, uint8 [H, W] of the whole
    picture, or None."""
    values, maps, said = materials.read_material(
        path, how.crop, how.max_side, how.even, cast(tuple | None, how.corners), how.aspect,
        how.depth, hidden, how.least, how.complete)
    name, notes = files.name_of(path), notes + said
    values, maps, doubt = estimates.add_maps(values, maps, notes, how.maps, name)
    if hidden is None:
        return of_values(values, maps, name, notes)._replace(doubt=doubt)

    # what is hidden is filled
    before, share = values[:-1], masks.as_share(values[-1] * 127.5 + 127.5)
    wrong = masks.checked(share, path, how.tile)
    y, x = holes.sources_of(before, wrong, how.tile // 2, maps.weights())
    return with_mask(of_values(before[:, y, x], maps, name, notes), before, share, wanted=True)


def read_picture(path: str, how: Reading, hidden: np.ndarray | None, notes: list[str]) -> Exemplar:
    """The Exemplar of a picture file; hidden: as in read_maps."""
    name, marked = files.name_of(path), hidden is not None
    blank = photos.without_data(path)
    if blank is not None:
        hidden = blank if hidden is None else np.maximum(hidden, blank)

    depth = None if how.depth == 16 else how.depth  # a file of 8 bits is the same photo for all
    largest = math.inf if how.art else how.max_side
    pixels, said = photos.read_photo(
        path, how.crop, largest, how.even, cast(tuple | None, how.corners), how.aspect, depth,
        how.alpha == "draw" or how.mask == "alpha", hidden, how.least)
    notes = notes + said
    if how.complete:
        notes.append("COMPLETE is for a folder of maps, and did nothing")

    # what is hidden is filled
    before = share = None
    if hidden is not None:
        pixels, share = masks.taken_off(pixels, opaque=how.mask == "alpha")
        if not marked and not share.any():  # what is left of the photo has data
            hidden = None
    if hidden is not None and share is not None:
        before, what = channels.as_values(pixels), "MASK" if marked else "What holds no data"
        wrong = masks.checked(share, path, how.tile, what)
        y, x = holes.sources_of(before, wrong, how.tile // 2)
        pixels = pixels[y, x]
    if (marked and hidden is not None
            and max(how.crop[2:] if how.crop else hidden.shape) > how.max_side):
        notes.append(f"repaired.png has that size, too; MAX_SIDE = {max(hidden.shape)} keeps the "
                     "photo's own")

    # pixel art is enlarged
    if how.art and hidden is not None:
        raise UserError(f"PIXELS is for pixel art, and {printable(path)} holds no data in places; "
                        "leave it out")
    art = None
    if how.art:
        pixels, art, said = pixel_art.enlarged(pixels, *how.art, how.max_side)
        notes += said

    found = of_pixels(pixels, name, notes)
    if how.maps:
        values, maps = estimates.photo_as_maps(pixels, name)
        values, maps, doubt = estimates.add_maps(values, maps, notes, how.maps, name)
        found = of_values(values, maps, name, notes)._replace(doubt=doubt)
        before = None if before is None else estimates.put_under(before, values)
    what = found.channels
    if how.depth is not None:
        what = what.written_with(how.depth)
    found = found._replace(channels=what._replace(art=art))
    if before is None or share is None:
        return found
    return with_mask(found, before, share, marked)


def of_pixels(
    pixels: np.ndarray, name: str, notes: list[str] | tuple[str, ...] = ()
) -> Exemplar:
    """The Exemplar of a photo's pixels, uint8 or uint16 [H, W], [H, W, 3] or, with transparency,
    [H, W, 4]; three equal channels become one."""
    if pixels.shape[2:] == (4,):
        return of_values(channels.as_values(pixels), channels.of_photo(name, pixels), name, notes)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]

    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    half = np.iinfo(pixels.dtype).max / 2
    values = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32)).permute(2, 0, 1) / half - 1
    everywhere = torch.ones(pixels.shape[:2], dtype=torch.bool)
    return Exemplar(name, values, channels.of_photo(name, pixels), everywhere, digest, tuple(notes))


def of_values(
    values: np.ndarray, what: Channels, name: str, notes: list[str] | tuple[str, ...] = ()
) -> Exemplar:
    """The Exemplar of values [C, H, W] in [-1, 1] of such Channels."""
    digest = digest_of_all([what.slices, sorted(what.constants.items()), values])
    everywhere = torch.ones(values.shape[1:], dtype=torch.bool)
    return Exemplar(name, torch.from_numpy(values), what, everywhere, digest, tuple(notes))


def with_mask(
    exemplar: Exemplar, before: np.ndarray, share: torch.Tensor, wanted: bool
) -> Exemplar:
    """An Exemplar that was filled where share [H, W] is above 0, with the values [C or more, H, W]
    from before; wanted: whether that is to be repaired."""
    mask = masks.Mask(share, torch.from_numpy(before[:len(exemplar.values)]))
    return exemplar._replace(
        usable=~mask.hidden(), digest=mask.digest(), mask=mask if wanted else None)


def masked(
    exemplar: Exemplar, share: torch.Tensor, tile: int
) -> tuple[Exemplar, tuple[torch.Tensor, torch.Tensor]]:
    """An Exemplar of which share [H, W], 0 to 1, is to be repaired, filled there in squares of half
    a tile's side; and the rows and columns [H, W] that each pixel is filled from. UserError if that
    leaves too little."""
    before = exemplar.values.numpy()
    share = torch.maximum(share, (~exemplar.usable).float())  # it was filled there, too
    hidden = masks.checked(share, exemplar.name, tile)
    y, x = holes.sources_of(before, hidden, tile // 2, exemplar.channels.weights())

    filled = exemplar._replace(values=exemplar.values[:, y, x])
    return with_mask(filled, before, share, wanted=True), (y, x)


def state_of(exemplar: Exemplar) -> dict[str, Any]:
    """An Exemplar as plain values and tensors, to be saved; from_state() is the inverse."""
    what, art = exemplar.channels, None
    if what.art is not None:
        palette = what.art.palette
        art = what.art.factor, None if palette is None else torch.from_numpy(palette)

    return {
        "name": exemplar.name,
        "values": exemplar.values,
        "usable": exemplar.usable,
        "digest": exemplar.digest,
        "folder": what.folder,
        "slices": {kind: (part.start, part.stop) for kind, part in what.slices.items()},
        "constants": {kind: torch.from_numpy(np.array(value))
                      for kind, value in what.constants.items()},
        "files": [tuple(file) for file in what.files],
        "art": art,
    }


def from_state(state: dict[str, Any]) -> Exemplar:
    """The Exemplar of what state_of() returned."""
    art = None
    if state["art"] is not None:
        factor, palette = state["art"]
        art = pixel_art.Art(factor, None if palette is None else palette.numpy())

    what = Channels(
        {kind: slice(*part) for kind, part in state["slices"].items()},
        {kind: value.numpy() for kind, value in state["constants"].items()},
        tuple(channels.MapFile(*file) for file in state["files"]),
        state["folder"],
        art,
    )
    return Exemplar(state["name"], state["values"], what, state["usable"], state["digest"])


def corners_in(
    path: str, corners: tuple | str | None, before: np.ndarray | None = None
) -> tuple[tuple | None, list[str]]:
    """Corners as they were given, or those that perspective.find_corners sees in a photo, or in
    what is seen of a material, if they are "auto", and notes. They are the same whenever they are
    looked for. before: original_pixels of it, where they are known."""
    def look() -> np.ndarray:
        return original_pixels(path) if before is None else before

    return perspective.corners_in(path, corners, look)


def original_pixels(path: str, crop: tuple | None = None) -> np.ndarray:
    """A photo, or what is seen of a material, as it was before anything but a crop, uint8 [H, W] or
    [H, W, 3]."""
    if not os.path.isdir(path):
        return photos.read_photo(path, crop)[0]
    values, maps, _ = materials.read_material(path, crop, math.inf)
    seen = maps.seen(torch.from_numpy(values)).numpy()
    return channels.to_pixels(np.broadcast_to(seen, (3, *seen.shape[1:])), 8)


def name_of(exemplars: tuple[Exemplar, ...], image: str | tuple) -> str:
    """What the model of exemplars is called: as the only one, or as IMAGE says of several."""
    if len(exemplars) == 1:
        return exemplars[0].name
    return several.name_of(image, [one.name for one in exemplars])


def digest_of(exemplars: Sequence[Exemplar]) -> str:
    """SHA-256 of all that a model is learned from, hexadecimal."""
    if len(exemplars) == 1:
        return exemplars[0].digest
    return digest_of_all([(one.name, one.digest) for one in exemplars])


def notes_of(exemplars: tuple[Exemplar, ...]) -> list[str]:
    """The notes of all, of several with their names."""
    if len(exemplars) == 1:
        return list(exemplars[0].notes)
    return [f"{one.name}: {note}" for one in exemplars for note in one.notes]


def settled(c: SimpleNamespace, photos: tuple, multiple: int) -> SimpleNamespace:
    """The constants with what follows from Photos: the tiles of small pixel art, and how many are
    held out; multiple: of which a tile's side is one. UserError if the photos are too small."""
    if photos[0].channels.art is not None:
        tile = pixel_art.tile_of(c.TILE_SIZE, photos[0].x.shape[1:], multiple)
        c = constants.replaced(c, TILE_SIZE=tile)
    for photo in photos:
        _, height, width = photo.x.shape
        constants.check_sizes(height, width, c.TILE_SIZE, multiple)

    if c.VALIDATION is None:
        free = photos[0].usable[-c.TILE_SIZE:, -c.TILE_SIZE:].all()
        large = all(math.prod(side // c.TILE_SIZE for side in photo.x.shape[1:]) >= 16
                    for photo in photos)
        c = constants.replaced(c, VALIDATION=int(free and large))
    return c
