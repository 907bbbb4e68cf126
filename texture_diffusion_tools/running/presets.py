"""Constants for a purpose, by its name: those of PRESET."""

from __future__ import annotations

import difflib
from typing import Any

from .errors import UserError, printable

PRESETS = {  # name: what it is for, and the constants
    "seamless-1k": (
        "a seamless texture of 1024 x 1024 pixels",
        {"OUTPUT_SIZE": (1024, 1024), "TILEABLE": "xy"}),
    "seamless-2k": (
        "a seamless texture of 2048 x 2048 pixels",
        {"OUTPUT_SIZE": (2048, 2048), "TILEABLE": "xy"}),
    "material-2k": (
        "of a folder of maps: seamless, 2048 x 2048, with maps that it lacks, for other programs",
        {"OUTPUT_SIZE": (2048, 2048), "TILEABLE": "xy", "COMPLETE": True, "EPOCHS": 20,
         "EXPORT": ("glb", "mtlx", "tres", "usda")}),
    "pixel": (
        "seamless pixel art: drawn four times as large, and reduced again",
        {"PIXELS": 4, "TILEABLE": "xy"}),
    "repair": (
        "what is transparent, or what MASK says instead, is drawn anew, and nothing else",
        {"MASK": "alpha", "SCALE": 1}),
}


def constants_of(name: str) -> dict[str, Any]:
    """The constants {name: value} of a preset; UserError with the nearest name if none is called
    so."""
    if name not in PRESETS:
        nearest = difflib.get_close_matches(name.lower(), PRESETS, 1, 0)[0]
        raise UserError(f"there is no preset {printable(name)} among {', '.join(PRESETS)}; "
                        f"the nearest is PRESET={nearest}")
    return PRESETS[name][1]


def described() -> str:
    """Lines for --help: what each preset is for, and what it sets."""
    lines = ["", "Presets, to be set as PRESET=name; CONFIG and other words win over them:"]
    for name, (meaning, values) in PRESETS.items():
        words = " ".join(f"{key}={value!r}" for key, value in values.items())
        lines += [f"  {name:<18} {meaning}", f"  {'':<18} {words}"]
    return "\n".join(lines) + "\n"
