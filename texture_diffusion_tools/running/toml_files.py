"""TOML files of plain values: read by Python's own reader or tomli, written by a few lines of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import UserError, first_line, printable

ESCAPED = {
    '"': '\\"', "\\": "\\\\",
    "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r",
}


def reader() -> Any:
    """The module that reads TOML; UserError if there is none."""
    try:
        import tomllib

        return tomllib
    except ImportError:  # before Python 3.11
        pass
    try:
        import tomli  # pyright: ignore[reportMissingImports]: newer versions do without

        return tomli
    except ImportError:
        raise UserError("before Python 3.11 tomli reads CONFIG, and it is not installed: "
                        "pip install tomli") from None


def read(path: str) -> dict:
    """The values {name: value} of a TOML file; UserError if it is not there or is no TOML."""
    toml, file = reader(), f"the CONFIG file {printable(path)}"
    try:
        return toml.loads(Path(path).read_text(encoding="utf-8-sig"))  # a mark may be in front
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is no TOML: {first_line(error)}") from None


def written(values: dict) -> str:
    """Values {name: value} as TOML, a line each: booleans, numbers, strings, tuples of them."""
    return "".join(f"{name} = {value_text(value)}\n" for name, value in values.items())


def value_text(value: Any) -> str:
    """One value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(value_text, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A string; what cannot be seen is written by its number. Half of a surrogate pair, which is
    no character and has no place in TOML, stays as it is: whoever encodes the file finds it."""
    return '"' + "".join(map(shown, text)) + '"'


def shown(letter: str) -> str:
    """A character as it stands in a string."""
    if letter in ESCAPED or letter.isprintable() or "\ud800" <= letter <= "\udfff":
        return ESCAPED.get(letter, letter)
    return f"\\U{ord(letter):08X}"
