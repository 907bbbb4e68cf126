"""Wang tiles laid without end by a GPU: functions in GLSL, and a shader for Godot 4 (.gdshader).

Each edge of the plane has a colour that is a hash of its place, so that both tiles beside it know
it; the four colours around a place say which tile of the picture lies there.
"""

from __future__ import annotations

import re
from typing import Any

FUNCTIONS = """\
uint wang_mix(uint h) {
    h = (h ^ (h >> 16u)) * 2115116107u;
    h = (h ^ (h >> 15u)) * 1968954711u;
    return h ^ (h >> 16u);
}

// The colour, 0 or 1, of the edge above a tile (way 0u) or of that to its left (way 1u).
uint wang_edge(ivec2 tile, uint way) {
    return wang_mix(wang_mix(uint(tile.x) * 2u + way) + uint(tile.y)) & 1u;
}

// Where in the picture, 0 to 1, a place of the plane is found; it is counted in tiles, right and
// down.
vec2 wang_place(vec2 place) {
    ivec2 tile = ivec2(floor(place));
    uint n = wang_edge(tile, 0u);
    uint s = wang_edge(tile + ivec2(0, 1), 0u);
    uint w = wang_edge(tile, 1u);
    uint e = wang_edge(tile + ivec2(1, 0), 1u);
    vec2 corner = vec2(float(2u * w + (w ^ e)), float(2u * n + (n ^ s)));
    return (corner + fract(place)) / 4.0;
}
"""

GLSL = """\
// Lays the 16 Wang tiles of PICTURE without end, in GLSL 3.30 or ES 3.00:
//
//     vec4 colour = wang(picture, position / vec2(WIDTH, HEIGHT));  // pixels, right and down
//
// The picture's first row is at 0, it repeats, and it has mip-maps. Other maps of a material take
// the same places.

FUNCTIONS
vec4 wang(sampler2D picture, vec2 place) {
    return textureGrad(picture, wang_place(place), dFdx(place) / 4.0, dFdy(place) / 4.0);
}
"""

GODOT = """\
// Lays the 16 Wang tiles of PICTURE without end, in Godot 4. A tile is WIDTH x HEIGHT pixels.
shader_type spatial;

uniform sampler2D picture : source_color, repeat_enable, filter_linear_mipmap_anisotropic;
uniform vec2 tiles = vec2(8.0, 8.0); // how many of them UV goes over, right and down

FUNCTIONS
void fragment() {
    vec2 place = UV * tiles;
    ALBEDO = textureGrad(picture, wang_place(place), dFdx(place) / 4.0, dFdy(place) / 4.0).rgb;
}
"""


def documents(table: dict[str, Any], picture: str) -> dict[str, str]:
    """The files' texts by suffix. table: that of wang.table_of(); picture: the path of the picture
    of all tiles."""
    tile = table["tiles"][0]
    words = {"PICTURE": plain(picture), "WIDTH": str(tile["width"]), "HEIGHT": str(tile["height"])}
    return {suffix: filled(text, words) for suffix, text in (("glsl", GLSL), ("gdshader", GODOT))}


def filled(text: str, words: dict[str, str]) -> str:
    """A shader with its functions, and words of its comment put in."""
    text = re.sub("|".join(words), lambda found: words[found[0]], text)
    return text.replace("\nFUNCTIONS\n", f"\n{FUNCTIONS}\n")


def plain(text: str) -> str:
    """Text on one line in letters that every compiler takes, even in a comment."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)
