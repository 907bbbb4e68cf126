"""The network that estimates the maps of a surface from its colours, and how it is applied to
pictures of any size.

It is fully convolutional and normalises nothing over space: what it says of a pixel depends on what
lies up to HALO pixels around it, so that a large picture may be cut into windows that overlap by so
much, and nothing shows where.

Shapes: B batch, H W a picture's height and width. Directions are (right, down), as pixels are
counted.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Span = tuple[int, int]  # where a part of a side begins and ends

WIDTHS = (16, 32, 64, 96, 160)  # channels at 1, 1/2, 1/4, ... of the resolution
BLOCKS = (0, 1, 2, 2, 3)  # residual blocks there on the way down; on the way up there is one
STRIDE = 2 ** (len(WIDTHS) - 1)  # windows and pictures are multiples of it
HALO = 256  # pixels around a window that what is estimated in it depends on
MARGIN = 64  # pixels by which a picture goes on at its ends, as its mirror image or where it wraps
WINDOW = 768  # pixels of a window's side without its halo
# planes that the network is given: red, green, blue in [-1, 1], the light's direction, and whether
# it is known
SEEN = 6
AROUND = (9, 33)  # pixels of the squares that brightness is compared with
VOTES = 5  # steps of STRIDE pixels over which what is said of the light is averaged


def normed(x: Tensor) -> Tensor:
    """x [B, C, H, W] with a mean square of 1 over the channels of each pixel."""
    return x * (x.square().mean(1, keepdim=True) + 1e-4).rsqrt()


class Block(nn.Module):
    """Two 3x3 convolutions with a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(normed(x))))


def averaged(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean of x [B, C, H, W] over rectangles of odd sides, as far as they lie in it."""
    return F.avg_pool2d(x, size, 1, (size[0] // 2, size[1] // 2), count_include_pad=False)


def contrast_of(colour: Tensor) -> Tensor:
    """How much brighter each pixel of colours [B, 3, H, W] in [-1, 1] is than squares AROUND it,
    [B, 2, H, W]; 0.1 is about 10 %."""
    bright = ((colour.mean(1, keepdim=True) + 1) / 2).clamp_min(0) ** 2.2 + 0.02
    around = [averaged(averaged(bright, (1, side)), (side, 1)) for side in AROUND]
    return torch.cat([(bright / mean).log() for mean in around], 1).clamp(-2, 2)


class MapNet(nn.Module):
    """A U-Net from colours to slopes, roughness and metal, and to the direction of the light.

    Slopes are what the U-Net says, plus the contrasts along the light, each times a weight that it
    says: what faces the light is bright. The light is as it is told, or else as the network says it
    itself around a place.
    """

    def __init__(self, widths: tuple = WIDTHS, blocks: tuple = BLOCKS) -> None:
        super().__init__()
        self.head = nn.Conv2d(SEEN + len(AROUND), widths[0], 3, padding=1)
        pairs = list(zip(widths, widths[1:]))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.blocks = nn.ModuleList(nn.Sequential(*map(Block, [width] * count))
                                    for width, count in zip(widths[1:], blocks[1:]))
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        finer = [fine for fine, _ in pairs]
        self.joins = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1 if k else 3, padding=int(k == 0))
                                   for k, fine in enumerate(finer))
        self.afters = nn.ModuleList(Block(fine) if k else nn.Identity()
                                    for k, fine in enumerate(finer))
        self.tail = nn.Conv2d(widths[0] + len(AROUND), 4 + len(AROUND), 3, padding=1)
        self.light = nn.Conv2d(widths[-1], 2, 1)
        for layer in (self.tail, self.light):
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes (right, down), roughness and metal as logits, [B, 4, H, W], and what each part of
        the picture says of the light's direction, [B, 2, H / STRIDE, W / STRIDE], from planes [B,
        SEEN, H, W]."""
        told, known, contrast = x[:, 3:5], x[:, 5:6], contrast_of(x[:, :3])
        x, skips = self.head(torch.cat([x, contrast], 1)), []
        for down, blocks in zip(self.downs, self.blocks):
            skips.append(x)
            x = blocks(down(F.silu(x)))
        x = normed(x)
        light = self.light(x)
        for up, join, after, skip in list(zip(self.ups, self.joins, self.afters, skips))[::-1]:
            x = F.pixel_shuffle(up(x), 2)
            x = normed(after(join(torch.cat([x, skip], 1))))
        last = torch.cat([F.silu(x), contrast.to(x.dtype)], 1)
        found, weights = self.tail(last).split([4, len(AROUND)], 1)

        # what faces the light is bright
        near = averaged(light, (VOTES, VOTES))
        near = F.interpolate(near, scale_factor=STRIDE, mode="bilinear", align_corners=False)
        facing = ((weights - 0.3) * contrast).sum(1, keepdim=True)
        slopes = found[:, :2] + facing * (told + (1 - known) * near)
        return torch.cat([slopes, found[:, 2:]], 1), light


def planes_of(colour: Tensor, light: Tensor | None = None) -> Tensor:
    """What the network is given of colours [B, 3, H, W] in [-1, 1]; light: its direction [B, 2], of
    no length if it comes evenly from everywhere, None: not known."""
    batch, _, height, width = colour.shape
    known = colour.new_zeros(batch, 3)
    if light is not None:
        known = torch.cat([light, torch.ones_like(light[:, :1])], 1)
    return torch.cat([colour, known[:, :, None, None].expand(-1, -1, height, width)], 1)


def continued(picture: Tensor, wraps: tuple[bool, bool]) -> Tensor:
    """A picture [C, H, W] with MARGIN pixels or more around it, its sides multiples of STRIDE, and
    where it begins in there."""
    for axis, wrap in zip((1, 2), wraps):
        length = picture.shape[axis]
        places = torch.arange(-MARGIN, length + MARGIN + -length % STRIDE)
        if wrap:
            places = places % length
        else:  # as its mirror image, again and again if it is small
            places = places % (2 * length)
            places = torch.minimum(places, 2 * length - 1 - places)
        picture = picture.index_select(axis, places)
    return picture


@torch.inference_mode()
def estimate(net: nn.Module, colour: Tensor, light: Tensor | None = None,
             wraps: tuple[bool, bool] = (False, False),
             window: int = WINDOW) -> tuple[Tensor, Tensor]:
    """What a network says of colours [3, H, W] in [-1, 1]: as in MapNet, [4, H, W], and of their
    light [2].

    light: as in planes_of(), [2]; wraps: whether the picture goes on at its other end, downwards
    and to the right; window: the side of the windows, a multiple of STRIDE.
    """
    picture = continued(colour, wraps)
    light = None if light is None else light[None]
    wide, high = picture.shape[2], picture.shape[1]
    maps, votes = torch.empty(4, high, wide), torch.empty(2, high // STRIDE, wide // STRIDE)
    for rows in spans(picture.shape[1], window):
        for columns in spans(picture.shape[2], window):
            (inner_y, outer_y), (inner_x, outer_x) = rows, columns
            part = planes_of(picture[None, :, slice(*outer_y), slice(*outer_x)], light)
            found, said = net(part.contiguous(memory_format=torch.channels_last))
            maps[:, slice(*inner_y), slice(*inner_x)] = cut(
                found[0], inner_y, outer_y, inner_x, outer_x)
            votes[:, slice(*coarse(inner_y)), slice(*coarse(inner_x))] = cut(
                said[0], *map(coarse, (inner_y, outer_y, inner_x, outer_x)))
    height, width = colour.shape[1:]
    shown = votes[:, MARGIN // STRIDE:, MARGIN // STRIDE:]
    shown = shown[:, :-(-height // STRIDE), :-(-width // STRIDE)]
    return maps[:, MARGIN:MARGIN + height, MARGIN:MARGIN + width], shown.mean((1, 2))


def spans(length: int, window: int) -> Iterator[tuple[Span, Span]]:
    """The windows along a side as pairs of (begin, end): without the halo, and with as much of it
    as there is."""
    for begin in range(0, length, window):
        end = min(begin + window, length)
        yield (begin, end), (max(0, begin - HALO), min(length, end + HALO))


def coarse(span: Span) -> Span:
    """A span in steps of STRIDE pixels."""
    return span[0] // STRIDE, span[1] // STRIDE


def cut(x: Tensor, inner_y: Span, outer_y: Span, inner_x: Span, outer_x: Span) -> Tensor:
    """The inner part of x [C, h, w], which shows the outer one."""
    top, left = inner_y[0] - outer_y[0], inner_x[0] - outer_x[0]
    return x[:, top:top + inner_y[1] - inner_y[0], left:left + inner_x[1] - inner_x[0]]


def turned(x: Tensor, copy: int, vectors: tuple[int, ...] = ()) -> Tensor:
    """x [C, H, W] flipped and turned: bit 0 of copy mirrors left and right, bit 1 up and down, bit
    2 swaps both. vectors: the first channel of each pair (right, down) that turns with it."""
    x = x.clone()
    for first in vectors:
        for bit, channel in ((1, first), (2, first + 1)):
            if copy & bit:
                x[channel] *= -1
        if copy & 4:
            x[[first, first + 1]] = x[[first + 1, first]]
    x = x.flip([axis for bit, axis in ((1, -1), (2, -2)) if copy & bit]) if x.ndim > 1 else x
    return x.transpose(-1, -2) if copy & 4 and x.ndim > 1 else x


def turned_back(x: Tensor, copy: int, vectors: tuple[int, ...] = ()) -> Tensor:
    """The inverse of turned()."""
    if copy & 4:
        x = turned(x, 4, vectors)
    return turned(x, copy & 3, vectors)
