"""Which files of a folder are which maps of a material, by their names.

A folder is a material where its pictures share a stem and differ by words that name maps:
rock_Color and rock_Normal. One such word among unlike names is a texture's own name: metal.jpg
beside grass.jpg and sand.jpg.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WORDS = {
    "colour": "color colour col albedo basecolor basecolour basecol base diffuse diffusecolor diff "
              "dif difs alb",
    "normal": "normal normals nor nrm nrml nml norm normalgl norgl nrmgl normalogl normalopengl "
              "normaldx nordx nrmdx normaldirectx ddn",
    "height": "displacement displace disp dsp height hgt heightmap bump bmp",
    "roughness": "roughness rough rgh rou",
    "gloss": "gloss glossiness smoothness gls",
    "occlusion": "ambientocclusion ambientocc occlusion occ ao mixedao amb ambient",
    "metal": "metalness metallic metallicness metal mtl met",
    "specular": "specular specularity specularlevel spec reflection refl",
    "emission": "emissive emission emissivecolor emissioncolor emit emis selfillum glow",
    "opacity": "opacity alpha opac transparency cutout",
    "cavity": "cavity cav",
    "curvature": "curvature curv",
    "thickness": "thickness thick",
    "translucency": "translucency translucent transmission scattering subsurface sss",
    "fuzz": "fuzz sheen",
}
BUMP = ("bump", "bmp")  # words for the height, or, beside another height, for a map of its own
# By which engines name maps, believed only where all pictures of a folder are named so.
LETTERS = {
    "colour": "d bc c a b", "normal": "n", "roughness": "r", "metal": "m", "height": "h",
    "emission": "e", "specular": "s", "gloss": "g", "opacity": "o",
}
PACKED = {  # the kinds in red, green, blue and alpha
    "orm": ("occlusion", "roughness", "metal"),  # glTF's order
    "arm": ("occlusion", "roughness", "metal"),
    "aorm": ("occlusion", "roughness", "metal"),
    "ormh": ("occlusion", "roughness", "metal", "height"),
    "omr": ("occlusion", "metal", "roughness"),
    "rma": ("roughness", "metal", "occlusion"),
    "rmao": ("roughness", "metal", "occlusion"),
    "rmo": ("roughness", "metal", "occlusion"),
    "mra": ("metal", "roughness", "occlusion"),
    "mrao": ("metal", "roughness", "occlusion"),
    "mro": ("metal", "roughness", "occlusion"),
    "ram": ("roughness", "occlusion", "metal"),
    "rom": ("roughness", "occlusion", "metal"),
    "mar": ("metal", "occlusion", "roughness"),
    "mor": ("metal", "occlusion", "roughness"),
    "mrah": ("metal", "roughness", "occlusion", "height"),
    "ord": ("occlusion", "roughness", "height"),
    "ordp": ("occlusion", "roughness", "height"),
    "ordisp": ("occlusion", "roughness", "height"),
    "orh": ("occlusion", "roughness", "height"),
    "maskmap": ("metal", "occlusion", "detail", "gloss"),  # Unity's
    "mads": ("metal", "occlusion", "detail", "gloss"),
    "mods": ("metal", "occlusion", "detail", "gloss"),
    "metallicroughness": ("unused", "roughness", "metal"),  # glTF's, too
    "metalnessroughness": ("unused", "roughness", "metal"),
    "metalroughness": ("unused", "roughness", "metal"),
    "metalrough": ("unused", "roughness", "metal"),
    "ddna": ("normal", "gloss"),
}
SPELLED = {  # words that packed files are called by, one after another
    "occlusion": "occlusion ambientocclusion ao",
    "roughness": "roughness rough",
    "metal": "metallic metalness metal",
    "height": "height displacement",
    "gloss": "smoothness gloss glossiness",
    "specular": "specular",
    "opacity": "opacity transparency alpha",
    "colour": "albedo basecolor diffuse color",
    "normal": "normal",
}
# Kinds that fill red, green and blue, so that only alpha is left for another.
FIRST = ("colour", "normal")
SAYS_NOTHING = re.compile(
    r"\d+k|\d{1,5}|\d+x\d+|\d*bits?|png|jpe?g|jfif|tiff?|exr|tga|dds|(var|lod|v|ver)\d*|copy|"
    "srgb|linear|raw|textures?|tex|maps?|final|tileable|seamless", re.IGNORECASE)
VARIANT = re.compile(r"(var|lod|v|ver)\d*|copy|\d{1,2}|\d*bits?|raw", re.IGNORECASE)
PREVIEWS = {"thumbnail", "thumb", "preview", "render", "cover", "icon"}
SHAPE = {"colour", "normal", "height", "bump"}  # a material has one of these, at least

Kinds = tuple[str, ...]  # of map in a file


def spelled_out() -> dict[str, Kinds]:
    """{word: kinds} of packed files whose name spells them out, such as OcclusionRoughnessMetallic.
    """
    kinds = [(kind, word) for kind, words in SPELLED.items() for word in words.split()]
    found = {}
    for count in (2, 3):
        for parts in itertools.permutations(kinds, count):
            held = tuple(kind for kind, _ in parts)
            once = len(set(held)) == count and not set(held[1:]) & set(FIRST)
            if once and (held[0] not in FIRST or count == 2):
                found["".join(word for _, word in parts)] = held
    return found


def by_word(words: Mapping[str, str]) -> dict[str, Kinds]:
    """{word: (its kind,)} of {kind: words}."""
    return {word: (kind,) for kind, several in words.items() for word in several.split()}


HOLDS: dict[str, Kinds] = {**spelled_out(), **by_word(WORDS), **PACKED}
BARE = "alone"  # stands for the word of a file that is called by the stem alone
CODES: dict[str, Kinds] = {**by_word(LETTERS), **HOLDS, BARE: ("colour",)}


class Reading(NamedTuple):
    """How the name of a file may be read."""

    stem: str  # the name before the word
    word: str  # that names a map, in CODES, in lower case
    tail: str  # the words behind it, which say nothing about which map it is


Group = dict[Path, Reading]  # files of one stem


class Sorted(NamedTuple):
    """The pictures of a folder."""

    maps: Group  # of one material; empty: they are textures, each its own
    others: list[Path]  # pictures that are none of its maps
    materials: dict[str, list[Path]]  # by stems, where they are maps of several materials


def words_of(stem: str) -> list[str]:
    """The words that a name consists of."""
    return re.findall(r"[^\W_]+", stem)


def known(word: str, words: Collection[str]) -> tuple[str, str] | None:
    """(a word of some, the tail behind it) of a word that may end in a number, or in "map"; None if
    it is no such."""
    word = word.lower()
    letters = word.rstrip("0123456789")
    for tail, head in (("", word), (word[len(letters):], letters)):
        for found in (head, head.removesuffix("map"), head.removesuffix("maps")):
            if found in words and found != BARE and (not tail or len(found) > 1):
                return found, tail
    return None


def read_end(stem: str, words: Collection[str] = HOLDS) -> Reading | None:
    """The Reading of a name that ends in one of some words, but for what says nothing; None if it
    does not."""
    parts, tail = words_of(stem), []
    while parts:
        # "Ambient Occlusion Map", "nor_gl", "albedo"
        for count in (3, 2, 1):
            if len(parts) >= count and (found := known("".join(parts[-count:]), words)):
                behind = " ".join(filter(None, [found[1], *tail]))
                return Reading(" ".join(parts[:-count]), found[0], behind)

        # "RockNormalGL"
        camel = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\WA-Z\d_]+|\d+|.", parts[-1])
        for at in range(1, len(camel)):
            if found := known("".join(camel[at:]), HOLDS):
                before = " ".join([*parts[:-1], "".join(camel[:at])])
                return Reading(before, found[0], " ".join(filter(None, [found[1], *tail])))

        if not SAYS_NOTHING.fullmatch(parts[-1]):
            return None
        tail.insert(0, parts.pop())
    return None


def what_it_holds(stem: str) -> tuple[str, str] | None:
    """(the name before it, the word for what a file holds, in lower case) by its stem; None if no
    word is known."""
    found = read_end(stem)
    return found and found[:2]


def read_anywhere(stem: str) -> Iterator[Reading]:
    """All Readings of a name: the word may be its first one, in its middle, or run together with
    what is before it."""
    parts = words_of(stem)
    for first, last in itertools.combinations(range(len(parts) + 1), 2):
        if last - first <= 3 and (found := known("".join(parts[first:last]), CODES)):
            yield Reading(" ".join(parts[:first] + parts[last:]), found[0], found[1])

    end = parts[-1].lower() if parts else ""
    for at in range(1, len(end) - 2):
        if end[at:] in HOLDS:
            yield Reading(" ".join([*parts[:-1], end[:at]]), end[at:], "")


def without_previews(paths: Iterable[Path]) -> list[Path]:
    """Those of some paths that are not called as a preview is."""
    return [path for path in paths
            if not PREVIEWS & {word.lower() for word in words_of(path.stem)}]


def sort_out(paths: list[Path]) -> Sorted:
    """The pictures at some paths as Sorted."""
    candidates = without_previews(paths)
    previews = [path for path in paths if path not in candidates]
    found = all_of_one(candidates) or all_of_several(candidates)

    # else those whose names end in words for maps, and others
    others = [] if found else [path for path in candidates if read_end(path.stem) is None]
    found = found or groups_of([path for path in candidates if path not in others])
    sure = {stem: group for stem, group in found.items() if is_material(group)}
    if len(others) and not any(SHAPE & kinds_in(group) for group in sure.values()):
        sure = {}
    if not sure and not (len(candidates) == 1 and found):
        return Sorted({}, paths, {})

    found = join_nameless(found, sure) if sure else found
    if len(found) > 1:
        materials = {stem: list(group) for stem, group in sorted(found.items())}
        return Sorted({}, others + previews, materials)

    stem, maps = next(iter(found.items()))
    maps = with_bare(maps, stem, others)
    left = [path for path in paths if path not in maps]
    return Sorted({path: maps[path] for path in paths if path in maps}, left, {})


def held(reading: Reading) -> Kinds:
    """The kinds that a file holds by its Reading: bump is one of them until holds_of knows what is
    beside it."""
    return ("bump",) if reading.word in BUMP else CODES[reading.word]


def kinds_in(group: Mapping[Path, Reading]) -> set[str]:
    """The kinds of map in a group {path: Reading}."""
    return {kind for reading in group.values() for kind in held(reading)}


def is_material(group: Mapping[Path, Reading]) -> bool:
    """Whether a group {path: Reading} of one stem differs by words for maps."""
    return len({held(reading) for reading in group.values()}) > 1


def is_likely(group: Mapping[Path, Reading]) -> bool:
    """Whether a group is a material where words are single letters, too, or stand anywhere: it has
    a colour or normals, and two letters alone, such as wall_d and wall_e, may be anything."""
    words = {reading.word for reading in group.values()}
    letters = len(words) == 2 and max(map(len, words)) == 1 and "n" not in words
    return is_material(group) and not letters and bool(kinds_in(group) & {"colour", "normal"})


def all_of_one(paths: Sequence[Path]) -> dict[str, Group]:
    """{stem: {path: Reading}} if all names are one stem and a word for a map, wherever that is;
    else {}."""
    ends = {path: read_end(path.stem) for path in paths}
    stems = {end.stem.lower() for end in ends.values() if end}
    if paths and all(ends.values()) and len(stems) == 1:
        return groups_of(ends)

    # a stem that all names have in some reading, the longest one first
    readings = {path: readings_of(path.stem) for path in paths}
    shared = set.intersection(*map(set, readings.values())) if len(paths) > 1 else set()
    for stem in sorted(shared, key=len, reverse=True):
        group = {path: found[stem] for path, found in readings.items()}
        kinds = [held(reading) for reading in group.values()]
        bare = any(reading.word == BARE for reading in group.values())
        each_once = len(set(kinds)) == len(kinds)
        if stem and each_once and is_likely(group) and (not bare or is_bent(group)):
            return {group[paths[0]].stem: group}
    return {}


def readings_of(stem: str) -> dict[str, Reading]:
    """{stem in lower case: Reading} of a name, of each stem the first of read_anywhere()."""
    found = [read_bare(stem), *reversed([*read_anywhere(stem)])]
    return {reading.stem.lower(): reading for reading in found}


def read_bare(stem: str) -> Reading:
    """The Reading of a name that is the stem alone: the colour, if the others are normals or
    heights."""
    parts = words_of(stem)
    while len(parts) > 1 and SAYS_NOTHING.fullmatch(parts[-1]):
        parts.pop()
    return Reading(" ".join(parts), BARE, "")


def is_bent(group: Mapping[Path, Reading]) -> bool:
    """Whether a group {path: Reading} has normals or heights, which are of nothing but a
    surface."""
    return bool(kinds_in(group) & {"normal", "height", "bump"})


def with_bare(group: Group, stem: str, paths: Iterable[Path]) -> Group:
    """A group {path: Reading} that has no colour with the one of some paths that is called by its
    stem alone."""
    bare = [path for path in paths if read_bare(path.stem).stem.lower() == stem.lower()]
    if len(bare) == 1 and is_bent(group) and "colour" not in kinds_in(group):
        return {**group, bare[0]: read_bare(bare[0].stem)}
    return group


def all_of_several(paths: Sequence[Path]) -> dict[str, Group]:
    """{stem: {path: Reading}} if all names end in words or letters for maps, and each stem has
    several; else {}."""
    groups = groups_of(paths, CODES)
    whole = sum(map(len, groups.values())) == len(paths)
    return groups if whole and len(groups) > 1 and all(map(is_likely, groups.values())) else {}


def groups_of(paths: Iterable[Path], words: Collection[str] = HOLDS) -> dict[str, Group]:
    """{stem: {path: Reading}} of the paths whose names end in one of some words; a material that is
    there in several sizes has a stem for each."""
    groups: dict[str, Group] = {}
    names: dict[str, str] = {}
    for path in paths:
        if reading := read_end(Path(path).stem, words):
            stem = names.setdefault(reading.stem.lower(), reading.stem)
            groups.setdefault(stem, {})[path] = reading
    return {name: group
            for stem, whole in groups.items() for name, group in by_tail(stem, whole).items()}


def by_tail(stem: str, group: Group) -> dict[str, Group]:
    """A group {path: Reading} cut into {stem: group} where it holds several materials that differ
    in their tails."""
    tails: dict[str, Group] = {}
    for path, reading in group.items():
        tails.setdefault(reading.tail.lower(), {})[path] = reading

    twice = len({held(reading) for reading in group.values()}) < len(group)
    if len(tails) > 1 and all(is_material(part) for part in tails.values()) and twice:
        return {f"{stem} {tail}".strip(): part for tail, part in tails.items()}
    return {stem: group}


def join_nameless(found: dict[str, Group], sure: Mapping[str, Group]) -> dict[str, Group]:
    """Groups {stem: {path: Reading}} in which files that are called by a word alone belong to the
    only material."""
    if len(sure) != 1 or "" not in found or "" in sure:
        return found

    (stem, group), nameless = next(iter(sure.items())), found[""]
    if kinds_in(nameless) & kinds_in(group):
        return found
    named = {name: other for name, other in found.items() if name}
    return {**named, stem: {**group, **nameless}}


def holds_of(maps: Mapping[Path, Reading]) -> dict[Path, Kinds]:
    """{path: the kinds in it} of a material's {path: Reading}: bump is the height where there is no
    other."""
    found = {path: held(reading) for path, reading in maps.items()}
    if "height" in kinds_in(maps):
        return found
    return {path: ("height",) if kinds == ("bump",) else kinds for path, kinds in found.items()}


def without_variants(maps: Mapping[Path, Reading]) -> tuple[Group, list[Path]]:
    """{path: Reading} with one of each map that is there in variants, such as COL_VAR1 and
    COL_VAR2, or NRM and NRM16: the first, or that with 16 bits; and the paths that were left
    out."""
    chosen: dict[tuple[Kinds, bool | None], list[Path]] = {}
    for path, reading in maps.items():
        chosen.setdefault((held(reading), points_down(reading.word)), []).append(path)

    left = []
    for paths in chosen.values():
        variants = all(VARIANT.fullmatch(word)
                       for path in paths for word in differing(path, paths, maps))
        unlike = len({maps[path].tail for path in paths}) == len(paths)
        if variants and len(paths) > 1 and unlike:
            left += sorted(paths, key=lambda path: preference(maps[path].tail))[1:]
    return {path: reading for path, reading in maps.items() if path not in left}, left


def differing(path: Path, paths: Iterable[Path], maps: Mapping[Path, Reading]) -> set[str]:
    """The words in the tail of a file that the tails of others do not have."""
    shared = set.intersection(*(set(maps[other].tail.lower().split()) for other in paths))
    return set(maps[path].tail.lower().split()) - shared


def preference(tail: str) -> tuple[bool, list[int], str]:
    """The order in which variants are preferred."""
    numbers = [int(number) for number in re.findall(r"\d+", tail)]
    return 16 not in numbers, numbers, tail


def renamed(stem: str, word: str, new: str) -> str:
    """The name of a file with another word in place of the one for its map, as read_end() and the
    others found it."""
    spelled = r"[\W_]*".join(map(re.escape, word))
    alone = list(re.finditer(rf"(?<![^\W_]){spelled}(?![^\W\d_])", stem, re.IGNORECASE))
    found = alone or list(re.finditer(spelled, stem, re.IGNORECASE))
    if not found:
        return f"{stem}_{new}"

    last = found[-1]
    return stem[:last.start()] + (new.lower() if last[0].islower() else new) + stem[last.end():]


def points_down(word: str) -> bool | None:
    """Whether a word for normals says that green points down: True, False, or None if it does not
    say."""
    if "dx" in word or "directx" in word:
        return True
    return False if "gl" in word else None
