"""The network of learning-based motion magnification (Oh et al. 2018), light enough for live video.

As in the paper, an encoder makes a texture and a shape of each picture, a manipulator amplifies how the shape differs,
and a decoder makes the moved picture of the texture and the manipulated shape. g, the manipulator's part before the
amplification, is linear, so that a temporal filter may stand between g and h, the part after it.

What differs is the decoder. The paper's draws the picture anew from features. This one says how far each place moves,
and the texture is moved there: of a network this small it makes a motion grow by the very factor that was asked for.
Its layers are linear in the change of shape and gated by the texture, so twice the amplification is twice the motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

CELL = 4  # px of the working picture a cell of the shape, each way
SHAPE = 4  # channels of the shape: the live window holds 26 s of them
LEVELS = 4  # of the decoder, each half as fine as the one before: a plain area moves as what surrounds it
MULTIPLE = CELL * 2 ** (LEVELS - 1)  # px, of which both sides of a working picture are multiples
WIDTH = 32  # channels of the texture
MOVED = 24  # channels of the decoder
REACH = 9  # pairs of px: boxes of this side, twice, are the mean and the contrast that a picture is rid of
FAINT = 1.0  # grey levels: a pattern of this contrast is seen as half as strong as a clear one
LIMIT = 8.0  # px of the working picture, to which the added motion is held: none larger was learned
SLOPE = 0.1  # of the leaky rectifiers


@dataclass(frozen=True, slots=True)
class Representation:
    """What the encoder makes of pictures.

    texture: (B, WIDTH, h, w) features of each level, the finest first. slopes: (2, B, SHAPE, h, w), how the shape
    changes from a px to the next, right and down: of the texture, too. shape: (B, SHAPE, h, w).
    """

    texture: tuple[torch.Tensor, ...]
    slopes: torch.Tensor
    shape: torch.Tensor


class MotionNet(nn.Module):
    """Encoder, manipulator and decoder.

    Pictures are (B, 1, H, W) luma in grey levels, H and W multiples of MULTIPLE. 79 thousand parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        cells = CELL**2
        self.shape_head = nn.Conv2d(cells, SHAPE, 3, padding=1, bias=False)
        self.stem = nn.Conv2d(cells + 1, WIDTH, 3, padding=1)
        self.residual1 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.residual2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(LEVELS - 1))
        self.hold = nn.Parameter(torch.full((SHAPE, 1, 1), 1.5))
        self.trust = nn.ModuleList(nn.Conv2d(WIDTH, 1 if i else SHAPE, 1) for i in range(LEVELS))
        stiffness = [nn.Conv2d(WIDTH, 1, 1) for _ in range(LEVELS)]
        self.stiffness = nn.ModuleList(stiffness)
        self.choice = nn.ModuleList(nn.Conv2d(WIDTH, 1, 1) for _ in range(LEVELS))
        self.lift = nn.Conv2d(SHAPE + 2, MOVED, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(GatedBlock() for _ in range(2))
        self.rest = nn.Conv2d(MOVED, 2, 3, padding=1, bias=False)
        # it begins as plain least squares
        nn.init.zeros_(self.rest.weight)
        for layer in stiffness:
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -4.0)

    def encode(self, luma: torch.Tensor) -> Representation:
        """Texture and shape of pictures."""
        flat, contrast = _flattened(luma)
        cells = functional.pixel_unshuffle(flat, CELL)
        x = leaky(self.stem(torch.cat([cells, torch.log(contrast)], 1)))
        x = x + leaky(self.residual2(leaky(self.residual1(x))))
        levels = [x]
        for layer in self.down:
            levels.append(leaky(layer(functional.avg_pool2d(levels[-1], 2))))
        # the shape is linear in the flattened picture: its slope is the shape of the picture's slope
        sloping = [self.shape_head(functional.pixel_unshuffle(slope, CELL)) for slope in slopes(flat)]
        return Representation(tuple(levels), torch.stack(sloping), self.shape_head(cells))

    def shape(self, luma: torch.Tensor) -> torch.Tensor:
        """The shape alone, (B, SHAPE, H / CELL, W / CELL), of which the manipulator's g takes the difference."""
        result: torch.Tensor = self.shape_head(functional.pixel_unshuffle(_flattened(luma)[0], CELL))
        return result

    def manipulate(self, amplified: torch.Tensor) -> torch.Tensor:
        """The manipulator's h, of amplified differences of shape, (B, SHAPE, h, w). Returns the same shape.

        What a cell says is held to ``exp(hold)`` times what its neighbourhood does. The paper's h is convolutions; two
        of them here learned a gain that depended on how fine the patterns are: what is smooth moved up to 1.4 times too
        far. This one grows with its input and changes its sign with it, whatever its size.
        """
        power = amplified.square()
        around = functional.avg_pool2d(power.mean(1, keepdim=True), 5, 1, 2)
        over = power / (around * torch.exp(2 * self.hold) + 1e-18)
        result: torch.Tensor = amplified * (1 + over.square()) ** -0.25
        return result

    def decode(self, representation: Representation, shape: torch.Tensor) -> torch.Tensor:
        """How far each cell of a picture is to move for its shape to become another.

        shape: (B, SHAPE, h, w). Returns (B, 2, h, w), px of the working picture, right and down, at most LIMIT: what is
        to be seen at p lies now at p less this. Exactly nothing where the shape is the picture's own.
        """
        change = shape - representation.shape
        motion = self._least_squares(representation, change)
        x = self.lift(torch.cat([change, motion], 1))
        for block in self.blocks:
            x = block(x, representation.texture[0])
        rest: torch.Tensor = self.rest(x)
        motion = motion + rest
        length = motion.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        return motion * (LIMIT / length).clamp(max=1.0)

    def _least_squares(self, representation: Representation, change: torch.Tensor) -> torch.Tensor:
        """The motion that explains a change of shape best, (B, 2, h, w) px, over neighbourhoods of every level.

        change = -slopes . motion. How much each channel, each place and each level counts, and how little a weak
        texture moves, is learned.
        """
        right, down = representation.slopes
        trust = torch.sigmoid(self.trust[0](representation.texture[0]))
        pairs = ((right, right), (right, down), (down, down), (right, change), (down, change))
        sums = torch.cat([(trust * a * b).sum(1, keepdim=True) for a, b in pairs], 1)
        motions, choices = [], []
        size = change.shape[-2:]
        for level, features in enumerate(representation.texture):
            if level:
                sums = functional.avg_pool2d(sums, 2) * torch.sigmoid(self.trust[level](features))
            around = functional.avg_pool2d(sums, 3, 1, 1)
            stiff = torch.exp(self.stiffness[level](features).clamp(-12.0, 6.0))
            xx, xy, yy, x, y = torch.split(around, 1, 1)
            xx, yy = xx + stiff, yy + stiff
            solved = torch.cat([xy * y - yy * x, xy * x - xx * y], 1) / (xx * yy - xy**2)
            motions.append(_resized(solved, size))
            choices.append(_resized(self.choice[level](features), size))
        share = torch.softmax(torch.stack(choices), 0)
        return (torch.stack(motions) * share).sum(0)

    @classmethod
    def from_weights(cls, weights: Mapping[str, torch.Tensor]) -> MotionNet:
        """A frozen network in evaluation mode. weights: this class's state dict."""
        net = cls()
        net.load_state_dict(dict(weights))
        return net.eval().requires_grad_(False)


class GatedBlock(nn.Module):
    """Two convolutions of what moves, each gated by the texture: linear in what moves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(MOVED, MOVED, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(MOVED, MOVED, 3, padding=1, bias=False)
        self.gates = nn.Conv2d(WIDTH, 3 * MOVED, 1)
        assert self.gates.bias is not None
        nn.init.ones_(self.gates.bias)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """x: (B, MOVED, h, w). features: (B, WIDTH, h, w). Returns as x."""
        first, second, third = self.gates(features).chunk(3, 1)
        y = self.conv1(x * first) * second
        result: torch.Tensor = x + self.conv2(y) * third
        return result


def _flattened(luma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (B, 1, H, W) without their local mean and contrast, and the contrast of the cells, grey levels.

    Light that changes leaves them nearly as they are.
    """
    high = luma - _mean(luma)
    contrast = (_mean(high.square()).clamp(min=0.0) + 1e-6).sqrt() + FAINT
    return high / contrast, functional.avg_pool2d(contrast, CELL)


def slopes(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences of pictures (B, 1, H, W), right and down, per px."""
    wide = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    right = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
    return right, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky rectifier."""
    return functional.leaky_relu(x, SLOPE)


def _mean(picture: torch.Tensor) -> torch.Tensor:
    """Mean over the neighbourhood of each pixel, as much of it as lies in the picture.

    Of half the picture's size, which is an eighth of the work; what is blurred so far has nothing finer.
    """
    mean = functional.avg_pool2d(picture, 2)
    for _ in range(2):
        mean = functional.avg_pool2d(mean, (REACH, 1), 1, (REACH // 2, 0), count_include_pad=False)
        mean = functional.avg_pool2d(mean, (1, REACH), 1, (0, REACH // 2), count_include_pad=False)
    return _resized(mean, picture.shape[-2:])


def _resized(x: torch.Tensor, size: torch.Size) -> torch.Tensor:
    if x.shape[-2:] == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
