"""The constants of a main(): overrides from the command line, from a file and by a preset, --help,
the types of their values and their rules."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import presets, program, toml_files
from .errors import UserError, printable
from .files import name_of

ENDLESS = "endless"  # in place of a texture's size
FARTHEST = 2**60  # pixels from the origin of an endless texture
OLD_NAMES = {"START": "STRENGTH", "REDRAW_ORIGINALS": "REDRAW",  # they still work
             "SIZE": "OUTPUT_SIZE"}  # a short one
OLD_VALUES = {"REDRAW_ORIGINALS": {"True": "all", "False": "gaps"}}
OPTIONAL = {  # or None
    "CORNERS": (tuple, str), "ASPECT": float, "CROP": tuple, "OUTPUT_SIZE": (tuple, int, str),
    "REGION": tuple, "EPOCHS": int, "SAMPLE_STEPS": int, "STRENGTH": float, "VALIDATION": int,
    "PRIOR": str, "COMPLETE": (bool, float), "MAPS": (bool, tuple, str), "LIGHT": (float, str),
    "DEPTH": int, "GUIDE": str, "WANG": int, "PIXELS": int, "MASK": (str, tuple), "TEXTURE": str,
    "BLEND": str, "CHECK": str, "CONFIG": str, "PRESET": str,
}
WITHOUT_WANG = ("MASK", "OUTPUT_SIZE", "TILEABLE", "REGION", "GUIDE", "BLEND", "REDRAW", "LAYOUT")
# Of PIXELS: tiles, whose sides are multiples of 32, hold whole pixels of such sides.
FACTORS = (2, 4, 8, 16)
SMALL = 128  # pixels of a side, below which a photo that is too small may be pixel art
WITHOUT_PIXELS = ("MASK", "CORNERS", "BLEND", "REGION", "WANG")
# In place of None, where only seams are drawn.
SEAMS = {"EPOCHS": 1, "SAMPLE_STEPS": 8, "STRENGTH": 0.75}
WHOLE = {"EPOCHS": 5, "SAMPLE_STEPS": 30, "STRENGTH": 0.65}  # where whole tiles are
FILES = ("IMAGE", "MASK", "GUIDE", "BLEND", "PRIOR", "CHECK")  # which may name files
FOLDERS = ("OUTPUT_DIR", "CHECKPOINT_DIR")
LISTS = ("IMAGE", "EXPORT")  # strings that may be several
EXPORTS = ("glb", "mtlx", "tres", "usda", "pat")  # of EXPORT
ESTIMATED = ("height", "normal", "roughness", "occlusion", "metal")  # of MAPS
# In any case, where a constant is no text.
WORDS = {"true": "True", "false": "False", "none": "None"}
NUMBER = re.compile(r"-?\d+(\.\d+)?")
SIZE = re.compile(r"(\d+) *[xX*\u00d7] *(\d+)")  # 1000x700

# Names of constants, what holds of their values, and that in words.
Rule = tuple[str, Callable[[Any], object], str]


def settings(function: Callable, values: Mapping[str, Any], argv: Sequence[str]) -> SimpleNamespace:
    """The UPPER_CASE values of function's constants with overrides NAME=value applied, as a
    namespace.

    --help prints the constants with their comments and ends the run, --version what it is made of.
    --name=value and --name value say the same as NAME=value, and words that are paths are the first
    constant, several of them where it can be a list. What the words say wins over the file CONFIG,
    that over PRESET, and that over the function; these two are None then. UserError on unknown
    names and on values of another type.
    """
    answer(str(inspect.getsourcefile(function)), function.__name__, argv)
    return override({name: value for name, value in values.items() if name.isupper()}, argv)


def defaults(function: Callable) -> dict[str, Any]:
    """The constants of a function as they stand in its source, {name: value}."""
    lines = written(str(inspect.getsourcefile(function)), function.__name__)
    return {name: ast.literal_eval(text) for _, name, text, _ in lines}


def foresee(path: str | Path, argv: Sequence[str]) -> None:
    """What settings() says of the main() of a script at a path, which is only read: before its
    imports, which take seconds, --help and --version are answered, and words that are not
    understood a UserError."""
    answer(path, "main", argv)
    # of a value that is worked out: settings() will know it
    with contextlib.suppress(ValueError, SyntaxError):
        override({name: ast.literal_eval(text) for _, name, text, _ in written(path, "main")}, argv)


def answer(path: str | Path, function: str, argv: Sequence[str]) -> None:
    """End the run if its words ask for --help or --version."""
    if "--help" in argv or "-h" in argv:
        print_help(path, function)
        sys.exit(0)
    if "--version" in argv:
        print(program.versions())
        sys.exit(0)


def override(constants: Mapping[str, Any], argv: Sequence[str]) -> SimpleNamespace:
    """Constants as a namespace, with overrides applied, as in settings()."""
    values = applied(constants, constants, argv)
    if values.get("CONFIG") is not None or values.get("PRESET") is not None:
        beneath = {**constants, **chosen(values, constants)}
        values = {**applied(beneath, constants, argv), "CONFIG": None, "PRESET": None}
    return SimpleNamespace(**values)


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Constants {name: value} with the changes that a program makes, by the same rules as
    settings(); UserError on unknown names and on values of another type."""
    fitting = {name: fitted(name, value, values) for name, value in changes.items()}
    named = {**values, **fitting}
    if named["CONFIG"] is None and named["PRESET"] is None:
        return named
    return {**values, **chosen(named, values), **fitting, "CONFIG": None, "PRESET": None}


def applied(
    values: Mapping[str, Any], constants: Mapping[str, Any], argv: Sequence[str],
) -> dict[str, Any]:
    """Values {name: value} with what the words of a command line say of constants."""
    values, alone = dict(values), False
    for name, text, is_path in said(argv, constants):
        value = parse_value(name, text, constants[name])
        if is_path and alone:  # one more beside those before
            value = (*listed(values[name]), *listed(value))
        alone = alone or name == next(iter(constants))
        values[name] = value
    return values


def chosen(values: Mapping[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
    """What the file and the preset say that values {name: value} name, {name: value}."""
    found = {} if values["CONFIG"] is None else in_file(values["CONFIG"], constants)
    preset = found.get("PRESET") if values["PRESET"] is None else values["PRESET"]
    return found if preset is None else {**presets.constants_of(preset), **found}


def in_file(path: str, constants: Mapping[str, Any]) -> dict[str, Any]:
    """What a TOML file says, {name: value}; a relative path in it begins at its folder. UserError
    on what is unknown."""
    found, where = {}, f" in {printable(path)}"
    for key, value in toml_files.read(path).items():
        # a constant, by its present name
        known = known_as(key, constants)
        if known is None:
            raise UserError(f"{printable(key)}{where} is no constant; the nearest is "
                            f"{nearest(key, constants)} (--help lists all)")
        name = OLD_NAMES.get(known, known)
        if name == "CONFIG":
            raise UserError(f"CONFIG{where} names another file; take that line out")

        value = OLD_VALUES.get(known, {}).get(str(value), value)
        found[name] = beside(path, name, typed(name, value, constants[name], where))
    return found


def beside(path: str, name: str, value: Any) -> Any:
    """A constant's value as it is meant in the file at a path: files that it names are looked for
    in its folder, too, and results go there."""
    if name in LISTS and type(value) is tuple:
        return tuple(beside(path, name, part) for part in value)
    if name not in FILES + FOLDERS or type(value) is not str or (name, value) == ("MASK", "alpha"):
        return value
    there = os.path.join(os.path.dirname(path), value)
    return there if name in FOLDERS or os.path.exists(there) else value


def said(argv: Sequence[str], constants: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """What the words of a command line say: (name of a constant, its value's text, whether that is
    a path alone)."""
    words, place = list(argv), 0
    while words:
        place, word = place + 1, words.pop(0)
        name, equals, text = word.partition("=")
        known = known_as(name, constants)

        # a path, or the name of a constant, whose value may be the next word
        if is_path(word, constants, place == 1):
            yield next(iter(constants)), word, True
            continue
        if known is None:
            raise not_understood(word, constants)
        if not equals:
            text = value_after(word, words, OLD_NAMES.get(known, known), constants)
        yield OLD_NAMES.get(known, known), OLD_VALUES.get(known, {}).get(text, text), False


def known_as(name: str, constants: Mapping[str, Any]) -> str | None:
    """The constant, or the former name of one, that a word such as EPOCHS, epochs or --epochs
    names; or None."""
    name = name.lstrip("-").replace("-", "_").upper()
    return name if OLD_NAMES.get(name, name) in constants else None


def is_path(word: str, constants: Mapping[str, Any], first: bool) -> bool:
    """Whether a word is a path: of what is there, or of what looks like one; NAME=value is that all
    the same, but for a file that is named first."""
    if not (first or next(iter(constants)) in LISTS):
        return False
    name, equals, _ = word.partition("=")
    if os.path.exists(word):
        return OLD_NAMES.get(name, name) not in constants or first and os.path.isfile(word)
    if equals or word.startswith("-") or name in constants:
        return False
    return first or any((os.path.dirname(word), os.path.splitext(word)[1]))


def not_understood(word: str, constants: Mapping[str, Any]) -> UserError:
    """The UserError for a word that names nothing."""
    name = word.partition("=")[0]
    near = nearest(name, constants)
    path = "" if word.startswith("-") else "no file or folder of that name and "
    return UserError(f"{printable(word)} is not understood: there is {path}no constant "
                     f"{printable(name)}; the nearest is {near}, to be set as "
                     f"{near}=value (--help lists all)")


def nearest(name: str, constants: Mapping[str, Any]) -> str:
    """The constant whose name is most like one."""
    return difflib.get_close_matches(name.lstrip("-").upper(), constants, 1, 0)[0]


def value_after(word: str, words: list[str], name: str, constants: Mapping[str, Any]) -> str:
    """The value of --name, taken from the words behind it: of a switch none or one, of a tuple one
    or its numbers."""
    kinds, following = kinds_of(name, constants[name]), words[0] if words else "-"
    other = float in kinds and NUMBER.fullmatch(following)
    bare = following.lower() not in ("true", "false") and not other
    if bool in kinds and word.startswith("-") and bare:
        return "True"
    if not word.startswith("-") or following.startswith("-") and not NUMBER.match(following):
        raise UserError(f"{printable(word)} needs a value: {name}=value, without spaces")

    text = words.pop(0)
    while tuple in kinds and name not in LISTS and words and NUMBER.fullmatch(words[0]):
        text += "," + words.pop(0)
    return text


def listed(value: Any) -> tuple:
    """The values of a constant that can be one or several, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def print_help(path: str | Path, function: str) -> None:
    """Print the head of the manual and, under the headings of the source, each constant with its
    value and its comment."""
    manual = ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"))) or ""
    print(manual.split("\n\n")[0] + "\n\nConstants, to be set as NAME=value:")

    heading, end = None, ""
    for above, name, text, comment in written(path, function):
        if above != heading:
            print(f"\n{above}".rstrip())
            heading = above
        with contextlib.suppress(ValueError, SyntaxError):  # of a value that is worked out
            text = repr(ast.literal_eval(text))
        print(f"  {name:<18} {text:<24} {comment}".rstrip())
        if name == "PRESET":
            end = presets.described()
    print(end, end="")


def written(path: str | Path, function: str) -> list[tuple[str, str, str, str]]:
    """The constants of a function as they stand in its file: (heading, name, its value's source,
    comment) of each; a heading is a comment with a line of its own."""
    source = Path(path).read_text(encoding="utf-8")
    text = re.findall(rf"^def {function}\(.*\n(?:(?: .*)?\n)*", source, re.M)[0]

    found, heading = [], ""
    line = r"^    (?:# (?!fmt:)(.*)|([A-Z][A-Z0-9_]*) += (.*?)(?: +# (.*))?)$"
    for above, *constant in re.findall(line, text, re.M):
        heading = above or heading
        if not above:
            found.append((heading, *constant))
    return found


def parse_value(name: str, text: str, default: Any) -> Any:
    """The value of an override, of the type of the constant's default; UserError otherwise. What
    can be text is text as it is written, unless it is a value of another type that the constant may
    have."""
    kinds = kinds_of(name, default)
    try:
        value = literal(text if str in kinds else WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text

    value = converted(value, kinds)
    if fits(name, value, kinds):
        return value
    if str in kinds:
        return text
    raise not_possible(name, text, default)


def typed(name: str, value: Any, default: Any, where: str = "") -> Any:
    """A value of a file as one of a constant with a default: a list as a tuple, "None" as None;
    UserError, which says where that was, if it has another type."""
    kinds = kinds_of(name, default)
    value = converted(None if value == "None" and type(None) in kinds else value, kinds)
    if not fits(name, value, kinds):
        raise not_possible(name, f"{value!r}{where}", default)
    return value


def fitted(name: str, value: Any, values: Mapping[str, Any]) -> Any:
    """A value that a program gives to a constant, of the type that it has among the values {name:
    default}; UserError otherwise."""
    if name not in values:
        raise not_understood(name, values)
    return typed(name, value, values[name])


def converted(value: Any, kinds: Collection[type]) -> Any:
    """A value as one of some kinds, for which lists stand for tuples, whole numbers for any."""
    if type(value) is list and tuple in kinds:
        return tuple(converted(part, kinds) if type(part) is list else part for part in value)
    return float(value) if type(value) is int and float in kinds else value


def fits(name: str, value: Any, kinds: Collection[type]) -> bool:
    """Whether a value has one of the types that a constant may have."""
    return type(value) in kinds and (name not in LISTS or all(type(part) is str for part in value))


def not_possible(name: str, text: str, default: Any) -> UserError:
    """The UserError for a value of another type than a constant has."""
    wanted = " or ".join("None" if kind is type(None) else kind.__name__
                         for kind in kinds_of(name, default))
    return UserError(f"{name}={text} is not possible: {name} takes a value of type {wanted}, "
                     f"such as {default!r}")


def literal(text: str) -> Any:
    """The value that a text of the command line writes as Python does, but that a backslash is one:
    'C:\\new\\a.jpg' is a path, and no line break in it."""
    return ast.literal_eval(text.replace("\\", "\\\\"))


def kinds_of(name: str, default: Any) -> tuple[type, ...]:
    """The types that a constant's value may have."""
    if name in LISTS:
        return str, tuple
    if name not in OPTIONAL:
        return (type(default),)
    kinds = OPTIONAL[name]
    return *(kinds if isinstance(kinds, tuple) else (kinds,)), type(None)


def replaced(c: SimpleNamespace, **changes: Any) -> SimpleNamespace:
    """The same namespace with other values of some constants."""
    return SimpleNamespace(**{**vars(c), **changes})


def fill_in(c: SimpleNamespace) -> SimpleNamespace:
    """The same namespace with a size and a list written out, and with what is None and depends on
    what is drawn: seams need less of all."""
    c = replaced(c, OUTPUT_SIZE=width_and_height(c.OUTPUT_SIZE), EXPORT=parts_of(c.EXPORT),
                 MAPS=parts_of(c.MAPS) if isinstance(c.MAPS, (str, tuple, list)) else bool(c.MAPS))

    whole = (c.REDRAW != "seams" or c.LAYOUT == "rows"
             or type(c.IMAGE) is not str and not c.EACH
             or any((c.MASK, c.WANG, c.BLEND, c.GUIDE)))
    usual = WHOLE if whole else SEAMS
    return replaced(c, **{name: value for name, value in usual.items() if getattr(c, name) is None})


def width_and_height(size: Any) -> Any:
    """A size as (width, height) where it is one number, of a square, or text such as 1000x700; else
    as it is."""
    if type(size) is int:
        return size, size
    found = SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    return tuple(map(int, found.groups())) if found else size


def parts_of(words: str | Iterable[str]) -> tuple[str, ...]:
    """Words as a tuple of them where they are one text with commas between them."""
    return tuple(re.findall(r"[^\s,]+", words)) if isinstance(words, str) else tuple(words)


def check_rules(
    c: SimpleNamespace, choices: Mapping[str, Collection[str]], world_size: int = 1,
) -> SimpleNamespace:
    """The same namespace, filled in, if its values keep all rules; else UserError.

    choices: {name: the values that a constant may have}; world_size: the number of processes.
    """
    c = fill_in(c)
    chosen = [(name, values.__contains__, f"must be one of {', '.join(values)}")
              for name, values in choices.items()]

    for names, holds, rule in [*RULES, *chosen, *rules_among(c, world_size)]:
        for name in names.split():
            if not holds(getattr(c, name)):
                raise UserError(f"{name} is {getattr(c, name)!r}; it {rule}")
    return c


def are_whole(values: Sequence, count: int) -> bool:
    """Whether values are so many whole numbers."""
    return len(values) == count and all(type(value) is int for value in values)


def are_places(values: Sequence, count: int) -> bool:
    """Whether values are so many pairs of numbers."""
    return len(values) == count and all(
        type(pair) in (tuple, list) and len(pair) == 2 and
        all(type(value) in (int, float) for value in pair) for pair in values)


RULES = (  # names, what holds of their values, and that in words
    ("MAX_SIDE EPOCH_TILES BATCH_SIZE TIMESTEPS SAMPLE_STEPS SCALE SAMPLES SAVE_EVERY "
     "PREVIEW_EVERY",
     lambda value: value >= 1, "must be at least 1"),
    ("EPOCHS SEED", lambda value: value >= 0, "must be at least 0"),
    ("IMAGE", lambda value: type(value) is str
     or type(value) in (tuple, list) and len(value) > 1 and
     all(type(part) is str for part in value), "must be a path, or a list of two or more"),
    ("NEIGHBOUR_DROPOUT LEARNING_RATE STRENGTH GUIDE_STRENGTH DELIGHT",
     lambda value: 0 <= value <= 1, "must lie between 0 and 1"),
    ("LEARNING_RATE STRENGTH", lambda value: value > 0, "must be above 0"),
    ("CORNERS", lambda value: value in (None, "auto")
     or type(value) is not str and are_places(value, 4),
     'must be "auto" or four pairs of pixels ((x, y), (x, y), (x, y), (x, y)): upper left, upper '
     "right, lower right, lower left"),
    ("ASPECT", lambda value: value is None or 0.1 <= value <= 10, "must lie between 0.1 and 10"),
    ("MASK", lambda value: value is None or type(value) is str or are_whole(value, 3)
     and all(0 <= part <= 255 for part in value),
     "must be a picture's path, a colour such as magenta or (255, 0, 255), or alpha"),
    ("DEPTH", lambda value: value in (None, 8, 16), "must be 8 or 16"),
    ("COMPLETE", lambda value: not value or 0 < value < 1e5,
     "must be True, False or a number of pixels above 0"),
    ("MAPS", lambda value: type(value) is bool or set(value) <= {*ESTIMATED},
     f"must be True, False or some of {', '.join(ESTIMATED)}, such as MAPS=normal,roughness"),
    ("LIGHT", lambda value: value in (None, "even") or type(value) is not str and abs(value) <= 360,
     'must be degrees from -360 to 360, 0: from the right, 90: from above, or "even"'),
    ("WANG", lambda value: value in (None, 2), "must be 2, the number of colours of an edge"),
    ("PIXELS", lambda value: value in (None, *FACTORS), "must be 2, 4, 8 or 16"),
    ("EXPORT", lambda value: set(value) <= {*EXPORTS},
     f"must be some of {', '.join(EXPORTS)}, such as EXPORT=glb,usda, or () for none"),
    ("CROP REGION", lambda value: value is None or are_whole(value, 4),
     "must be four whole numbers (x, y, width, height)"),
    ("OUTPUT_SIZE", lambda value: value in (None, ENDLESS)
     or are_whole(value, 2) and min(value) > 0,
     'must be two whole numbers (width, height) above 0, one for a square, or "endless"'),
    ("WIDTHS", lambda value: len(value) in range(1, 5) and are_whole(value, len(value))
     and all(n > 0 and n % 8 == 0 for n in value),
     "must be one to four multiples of 8, such as (64, 128, 256)"),
)


def rules_among(c: SimpleNamespace, world_size: int) -> tuple[Rule, ...]:
    """The same for what has to hold of a value beside those of other constants."""
    endless = c.OUTPUT_SIZE == ENDLESS
    return (
        ("REGION", lambda value: not endless or value is not None and min(value[2:]) > 0
         and max(map(abs, value)) <= FARTHEST,
         "must say which part (x, y, width, height) of the endless plane is "
         f"drawn, of a pixel or more and at most {FARTHEST} pixels from its origin"),
        ("TILEABLE", lambda value: not endless or value == "none",
         "must be none where OUTPUT_SIZE is endless: what has no ends has none to join"),
        ("GUIDE BLEND", lambda value: not endless or value is None,
         "has the shape of a whole texture, and an endless one has none; leave it out, or give "
         "another OUTPUT_SIZE"),
        ("LAYOUT", lambda value: not endless or value != "rows",
         "must be matched, ordered or random where OUTPUT_SIZE is endless: rows begin with a first "
         "one"),
        ("ASPECT", lambda value: value is None or c.CORNERS is not None,
         "needs CORNERS, whose sides' ratio it is"),
        ("LAYOUT", lambda value: value != "rows"
         or c.TILEABLE == "none" and c.REDRAW != "all" and not c.BLEND,
         "must be matched, ordered or random with TILEABLE, REDRAW=all and BLEND"),
        ("GUIDE", lambda value: value is None or c.LAYOUT != "rows",
         "needs sketches, which LAYOUT = rows has none of"),
        ("GUIDE", lambda value: value is None or c.BLEND is None,
         "and BLEND both say what lies where; leave one of them out"),
        *((name, lambda value: value in (None, "none", "matched", "seams", "gaps")
           or c.WANG is None,
           "does not go together with WANG, which draws tiles instead of a texture; leave one of "
           "them out")
          for name in WITHOUT_WANG),
        ("EXPORT", lambda value: not value or c.WANG is None,
         "does not go together with WANG, whose tiles no material repeats; leave one of them out"),
        ("EXPORT", lambda value: "pat" not in value or c.TILEABLE == "xy" and c.REGION is None,
         "holds a pattern, pat, which repeats itself; give TILEABLE=xy, without a REGION, or leave "
         "pat out"),
        ("MAPS", lambda value: not value or c.PIXELS is None,
         "does not go together with PIXELS; leave one of them out"),
        ("LIGHT", lambda value: value is None or c.MAPS,
         "is for MAPS; set MAPS=True, or leave it out"),
        ("DELIGHT", lambda value: not value or c.MAPS,
         "is for MAPS; set MAPS=True, or leave it out"),
        ("TEXTURE BLEND", lambda value: value is None or not c.EACH,
         "is for several textures of one model, and with EACH every photo has its own; leave one "
         "of them out"),
        ("EACH", lambda value: not value or world_size == 1,
         "works through the photos in one process; start it without torchrun, or each photo by "
         "itself"),
        *((name, lambda value: value is None or c.PIXELS is None,
           "does not go together with PIXELS; leave one of them out") for name in WITHOUT_PIXELS),
        ("TEXTURE", lambda value: value is None or c.BLEND is None,
         "names one texture, and BLEND is of several; leave one of them out"),
        ("SAMPLE_STEPS", lambda value: value <= c.STRENGTH * c.TIMESTEPS,
         f"must be at most STRENGTH * TIMESTEPS = {c.STRENGTH * c.TIMESTEPS:g}"),
        ("BATCH_SIZE", lambda value: value % world_size == 0,
         f"must be a multiple of the number of processes, {world_size}"),
        ("EPOCH_TILES", lambda value: value % c.BATCH_SIZE == 0,
         f"must be a multiple of BATCH_SIZE = {c.BATCH_SIZE}"),
        ("EPOCHS", lambda value: value or not c.FRESH,
         "needs a model to draw with, and FRESH = True puts it aside"),
    )


def check_sizes(height: int, width: int, tile: int, multiple: int) -> None:
    """UserError unless the tile is a multiple of what the network can halve and 3 x 3 of them fit.
    """
    if tile < multiple or tile % multiple:
        nearest = max(multiple, round(tile / multiple) * multiple)
        raise UserError(f"TILE_SIZE is {tile}, which the network cannot halve often enough; "
                        f"it must be a multiple of {multiple}, such as {nearest}")

    if min(height, width) < 3 * tile:
        fits = min(height, width) // 3 // multiple * multiple
        way_on = f"TILE_SIZE={fits} is the largest that fits" if fits \
            else f"use a photo of at least {3 * multiple} x {3 * multiple}"
        enlarged = min(height, width) * FACTORS[-1]  # at most
        if not fits and max(height, width) < SMALL and enlarged >= 3 * multiple:
            way_on += (", or, if it is pixel art, PIXELS=4, which draws it enlarged and reduces it "
                       "again")
        raise UserError(f"the photo has {width} x {height} pixels, and 3 x 3 tiles of {tile} need "
                        f"{3 * tile} x {3 * tile}; {way_on}")


def names_of(c: SimpleNamespace, seed: int) -> tuple[str, str]:
    """What a texture is called in its file's name, and the part of that which its layout's has,
    too."""
    size = "wang" if c.WANG else f"{c.SCALE}x{c.SCALE}" if c.OUTPUT_SIZE is None else c.OUTPUT_SIZE
    size = size if type(size) is str else "{}x{}".format(*size)

    parts = [c.TEXTURE, c.BLEND and f"blend_{name_of(c.BLEND)}",
             c.GUIDE and f"guided_by_{name_of(c.GUIDE)}",
             c.LAYOUT * (c.LAYOUT != "matched"), f"tileable_{c.TILEABLE}" * (c.TILEABLE != "none"),
             "redrawn" * (c.REDRAW == "all"),
             "region_{}_{}_{}x{}".format(*c.REGION) if c.REGION else "",
             f"seed{seed}" * (seed > 0)]
    special = "".join(f"_{part}" for part in parts if part)
    return size + special, special
