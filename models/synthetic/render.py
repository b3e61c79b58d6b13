"""Rendering of a synthetic person, ray by ray: head, neck, shoulders, what is behind them, and light.

Everything is a smooth function of the take, computed over a batch of frames on any torch device, so that the pulse in
the picture is exactly the pulse asked for. The scene is traced once; shading is repeated for each further gain of the
pulse.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from deepmag.models.synthetic import body as relief
from deepmag.models.synthetic import look
from deepmag.models.synthetic.skin import tone
from deepmag.models.synthetic.surface import lookup, meet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepmag.models.synthetic.scene import Scene

GAMMA = 2.2  # of the camera's response: a relative change of light is 1 / GAMMA of it in grey levels
SLACK = 0.008  # what rounds of tracing leave of a ray's distance to the head
BATCH = 90_000  # rays traced at once on a CPU: what stays in its cache is faster
WRAP = 0.18  # skin lets light through: it is lit a little beyond where a wall would be dark
NECK_STRENGTH = 0.6  # of the neck's pulse, relative to the face's
THROAT = (0.0, -0.35, -0.20)  # where the neck joins the head
FOOT = -1.90  # where it ends between the shoulders


@dataclass(frozen=True)
class Rendered:
    """A rendered take, noiseless.

    video: (T, 3, H, W) float32 grey levels in [0, 255]. skin: (T, H, W) in [0, 1], cover by skin that pulses.
    magnified: like video, for each further gain that was asked for.
    """

    video: torch.Tensor
    skin: torch.Tensor
    magnified: tuple[torch.Tensor, ...] = ()


def render(
    scene: Scene,
    height: int,
    width: int,
    frames: slice = slice(None),
    device: str = "cpu",
    *,
    pulse_gains: tuple[float, ...] = (1.0,),
) -> Rendered:
    """Render the frames of a take. height, width: px; supersample by rendering larger and area-averaging.

    pulse_gains: how many times larger the pulse is: in `video` for the first, in `magnified` for the others.
    """
    indices = np.arange(len(scene.t))[frames]
    batch = len(indices) if device != "cpu" else max(1, BATCH // (height * width))
    map_rows(scene, height)  # made before the threads that share them

    def draw(start: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        return _Take(scene, height, width, indices[start : start + batch], device).draw(pulse_gains)

    starts, threads = range(0, len(indices), batch), torch.get_num_threads()
    if device == "cpu" and threads > 1:
        # Batches side by side, one thread each: split over threads, each of the many small steps waits for the slowest
        # core, and on a busy machine of two cores that was 30 times slower than one thread.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = list(pool.map(draw, starts))
        torch.set_num_threads(threads)  # what the workers set is the default of threads started later
    else:
        parts = [draw(start) for start in starts]
    videos = [torch.cat([videos[k] for videos, _ in parts]) for k in range(len(pulse_gains))]
    return Rendered(videos[0], torch.cat([skin for _, skin in parts]), tuple(videos[1:]))


def map_rows(scene: Scene, height: int) -> int:
    """Rows of the head's map that a picture of that height needs; the person's maps of that size are then made."""
    fine = 2 * scene.framing.half_height * height  # px of the head's height
    rows = 96 if fine < 100 else 192 if fine < 260 else 288
    scene.person.head_maps(rows)
    scene.person.bound(rows)
    scene.person.body_maps(64 if rows == 96 else 128)
    return rows


class _Take:
    """One batch of frames while it is rendered. Coordinates: unit = half the head's height, y up, z to the camera."""

    def __init__(self, scene: Scene, height: int, width: int, indices: NDArray[np.intp], device: str) -> None:
        self.scene, self.height, self.width, self.indices, self.device = scene, height, width, indices, device
        m, framing = scene.motion, scene.framing
        self.unit = framing.half_height
        self.pixel = 1.0 / (height * self.unit)
        self.rows = map_rows(scene, height)
        self.head = self._tensor(scene.person.head_maps(self.rows))
        self.torso = self._tensor(scene.person.body_maps(64 if self.rows == 96 else 128))
        gy = (0.5 - (torch.arange(height, device=device) + 0.5) / height)[None, :, None]
        gx = (((torch.arange(width, device=device) + 0.5) / width - 0.5) * framing.aspect)[None, None, :]
        steady = not (np.any(m.camera_x) or np.any(m.camera_y))
        self.wall_x = gx if steady else gx + self.column(m.camera_x)
        self.wall_y = gy if steady else gy + self.column(m.camera_y)
        self.x = (gx + self.column(m.camera_x) - (framing.x - 0.5) * framing.aspect) / self.unit
        self.y = (gy + self.column(m.camera_y) - (0.5 - framing.y)) / self.unit
        self.chest = self.column(scene.chest)
        self.head_x = self.column(m.x)
        self.head_y = self.column(m.y) + scene.head_lift * self.chest
        self.tone = self._tensor(tone(scene.person.melanin))[:, None, None, None]
        self.colour = self._tensor(scene.colour)[:, None, None, None]

    def _tensor(self, values: NDArray[np.float64] | NDArray[np.float32]) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def column(self, track: NDArray[np.float64]) -> torch.Tensor:
        """A track (T,) of the take as (batch, 1, 1)."""
        return self._tensor(track[self.indices])[:, None, None]

    def draw(self, gains: tuple[float, ...]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """(T, 3, H, W) grey levels for each gain, and the skin's cover (T, H, W)."""
        count = len(self.indices)
        wall = self.scene.backdrop(self.wall_x, self.wall_y, self.column(self.scene.t), self.device)
        pictures = [wall.expand(3, count, self.height, self.width).clone() for _ in gains]
        skin = torch.zeros((count, self.height, self.width), device=self.device)
        self._cloth = torch.zeros_like(skin)
        for layer in (self._hair_behind, self._shoulders, self._neck, self._head):
            layer(pictures, skin, gains)
        light = self._tensor(self.scene.light[self.indices].T)[:, :, None, None] * self.scene.exposure
        if self.scene.flicker is not None:
            rows = torch.arange(self.height, device=self.device)[None, :, None] / self.height
            light = light * self.scene.flicker.factor(self.column(self.scene.t), rows)
        videos = []
        for picture in pictures:
            for passer in self.scene.passers:
                if passer.near:
                    passer.paint(picture, self.wall_x, self.wall_y, self.column(self.scene.t))
            linear = picture.mul_(light).clamp_(1e-5, 1)
            videos.append(linear.pow_(1 / GAMMA).mul_(255).transpose(0, 1).contiguous())
        return videos, skin

    def _window(self, left: float, right: float, low: float, high: float) -> tuple[slice, slice]:
        """Rows and columns where any frame has x in [left, right] and y in [low, high]."""
        xs = ((self.x > left) & (self.x < right)).any(0)[0].nonzero()
        ys = ((self.y > low) & (self.y < high)).any(0)[:, 0].nonzero()
        if not len(xs) or not len(ys):
            return slice(0, 0), slice(0, 0)
        return slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)

    def _blend(
        self,
        pictures: list[torch.Tensor],
        where: tuple[slice, slice],
        lit: torch.Tensor,
        depth: torch.Tensor | float,
        gains: tuple[float, ...],
        cover: torch.Tensor,
        shine: torch.Tensor | float = 0.0,
    ) -> None:
        """Lay ``lit`` (3, T, h, w) over the pictures, its pulse ``depth`` (T, h, w) times each gain."""
        pulsing = None if isinstance(depth, float) else lit * (self.colour * depth)
        for picture, gain in zip(pictures, gains, strict=True):
            part = picture[:, :, where[0], where[1]]
            part += cover * (lit + shine - part if pulsing is None else lit + shine - gain * pulsing - part)

    def _blood(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.column(self.scene.pulse), self.column(self.scene.late_pulse)

    def _hair_behind(
        self, pictures: list[torch.Tensor], skin: torch.Tensor, gains: tuple[float, ...]
    ) -> None:
        if not self.scene.person.hair.long:
            return
        where = self._window(-1.2, 1.2, -2.0, 0.5)
        x, y = self.x[..., where[1]] - self.head_x, self.y[:, where[0]] - self.head_y
        inside = 1 - torch.sqrt((x / 0.68) ** 2 + ((y + 0.55) / 0.95) ** 2)
        cover = (0.5 + 0.7 * inside / self.pixel).clamp(0, 1)
        hair = self._tensor(np.array(self.scene.person.hair.colour))[:, None, None, None]
        self._blend(
            pictures, where, (0.45 * self.scene.ambient * hair).expand(3, *cover.shape), 0.0, gains, cover
        )

    def _neck(self, pictures: list[torch.Tensor], skin: torch.Tensor, gains: tuple[float, ...]) -> None:
        top_x, top_y, _ = self._turned(THROAT)
        top_x, top_y = top_x + self.head_x, top_y + self.head_y
        half = self.scene.person.body.neck
        where = self._window(-1.3, 1.3, FOOT, 0.2)
        x, y = self.x[..., where[1]], self.y[:, where[0]]
        if not x.numel() or not y.numel():
            return
        along = ((top_y - y) / (top_y - FOOT)).clamp(0, 1)
        axis = top_x * (1 - along)
        # rounded where it enters the head, broader at its foot
        wide = half * (1.04 - 0.10 * along) * (1 - (1 - 4 * along).clamp(0, 1) ** 2).clamp(min=1e-3).sqrt()
        across = (x - axis) / wide
        # it fades into the skin between the shoulders, and cloth lies over it
        edge = self.pixel + 0.35 * (along - 0.45).clamp(min=0)
        cover = (0.5 + (1 - across.abs()) * wide / edge - 0.5 * (1 - self.pixel / edge)).clamp(0, 1)
        cover = cover * (y < top_y).float() * ((y - FOOT) / 0.5).clamp(0, 1)
        cover = cover * (1 - self._cloth[:, where[0], where[1]])
        across = across.clamp(-1, 1)
        diffuse, _ = self._shade(across, torch.full_like(across, -0.2), (1 - across**2).sqrt(), WRAP)
        chin = self._turned((0.0, -0.92, 0.35))[1] + self.head_y
        shadow = 1 - 0.5 * torch.exp(-((chin - y).clamp(min=0) / 0.28))
        depth = NECK_STRENGTH * self.scene.person.pulse * self._blood()[0]
        self._blend(pictures, where, self.tone * (diffuse * shadow), depth, gains, cover)
        part = skin[:, where[0], where[1]]
        part += cover * (NECK_STRENGTH - part)

    def _shoulders(self, pictures: list[torch.Tensor], skin: torch.Tensor, gains: tuple[float, ...]) -> None:
        where = self._window(-9, 9, -9, relief.TOP + 0.2)
        x, y = self.x[..., where[1]], self.y[:, where[0]]
        if not y.numel():
            return
        lift = self.scene.lift * self.chest
        # the chest widens as it rises
        x = x / (1 + 0.3 * lift)
        y = y - lift
        x, y = torch.broadcast_tensors(x, y)  # type: ignore[no-untyped-call]
        middle = (relief.TOP + relief.BOTTOM) / 2
        maps = lookup(
            self.torso, x / relief.WIDTH, ((y - middle) * (2 / (relief.TOP - relief.BOTTOM))).clamp(-1, 1)
        )
        swell = 1 + 2 * lift
        nx, ny = -maps[relief.ACROSS] * swell, -maps[relief.UPWARD] * swell
        length = (nx * nx + ny * ny + 1).rsqrt()
        diffuse, _ = self._shade(nx * length, ny * length, length, 0.0)
        bare = maps[relief.BARE]
        chin = self._turned((0.0, -0.92, 0.35))[1] + self.head_y
        shadow = 1 - 0.45 * torch.exp(-((chin - y).clamp(min=0) / 0.45)) * torch.exp(-((x / 0.6) ** 2))
        albedo = maps[relief.CLOTH] + bare * (self.tone - maps[relief.CLOTH])
        cover = (0.5 + maps[relief.OUTLINE] / self.pixel).clamp(0, 1) * (y < relief.TOP).float()
        depth = NECK_STRENGTH * self.scene.person.pulse * self._blood()[0] * bare
        self._blend(pictures, where, albedo * (diffuse * shadow), depth, gains, cover)
        part = skin[:, where[0], where[1]]
        part += cover * (NECK_STRENGTH * bare - part)
        self._cloth[:, where[0], where[1]] = cover * (1 - bare)

    def _angles(self) -> tuple[torch.Tensor, ...]:
        m = self.scene.motion
        return tuple(f(self.column(a)) for a in (m.yaw, m.pitch, m.roll) for f in (torch.cos, torch.sin))

    def _turned(self, point: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where a point of the head is after yaw, pitch and roll; each (T, 1, 1)."""
        cyaw, syaw, cpit, spit, crol, srol = self._angles()
        scale = self.column(self.scene.motion.scale)
        x, y, z = point
        vx, vz = cyaw * x + syaw * z, -syaw * x + cyaw * z
        vy, vz = cpit * y + spit * vz, -spit * y + cpit * vz
        return scale * (crol * vx - srol * vy), scale * (srol * vx + crol * vy), scale * vz

    def _head(self, pictures: list[torch.Tensor], skin: torch.Tensor, gains: tuple[float, ...]) -> None:
        scene, maps = self.scene, self.head
        cyaw, syaw, cpit, spit, crol, srol = self._angles()
        bound = scene.person.bound(self.rows)
        scale = self.column(scene.motion.scale)
        reach = max(bound) * float(scale.max()) + 2 * self.pixel
        sway = (
            float(self.head_x.min()),
            float(self.head_x.max()),
            float(self.head_y.min()),
            float(self.head_y.max()),
        )
        sideways = float((bound[0] * cyaw.abs() + bound[2] * syaw.abs()).max()) * float(scale.max()) + 0.3
        where = self._window(sway[0] - sideways, sway[1] + sideways, sway[2] - reach, sway[3] + reach)
        x = (self.x[..., where[1]] - self.head_x) / scale
        y = (self.y[:, where[0]] - self.head_y) / scale
        if not x.numel() or not y.numel():
            return
        # into the head's own axes: roll undone in the picture's plane, then pitch, then yaw
        rx, ry = crol * x + srol * y, crol * y - srol * x
        pz = spit * ry
        p = (cyaw * rx - syaw * pz, cpit * ry, syaw * rx + cyaw * pz)
        d = (-syaw * cpit, -spit, cyaw * cpit)
        warp = scene.expression(self.indices, self.device)
        hit = meet(maps[:1], p, d, bound, warp)
        lon, lat = (hit.lon, hit.lat) if warp is None else warp(hit.lon, hit.lat)
        found = lookup(maps[1:], lon / torch.pi, lat / (torch.pi / 2))

        def at(row: int) -> torch.Tensor:
            return found[row - 1]  # without the radius, the first of the maps

        albedo = found[:3]
        cover = (1.0 - (hit.distance - SLACK) / self.pixel).clamp(0, 1)

        blink = self.column(scene.motion.blink)
        lid = (
            ((at(look.LID) - (1.05 - 0.95 * blink)) * 10).clamp(0, 1) if bool((blink > 0.01).any()) else None
        )
        gloss = at(look.GLOSS)
        if lid is not None:
            # its edge, low on the eye, is dark with lashes
            lashes = ((0.42 - at(look.LID)) / 0.3).clamp(0, 1)
            albedo = albedo + lid * ((0.85 - 0.5 * lashes) * self.tone - albedo)
            gloss = gloss * (1 - lid)
        # the normal: outward, tilted against the slopes eastward and northward
        clon, slon, clat, slat = hit.lon.cos(), hit.lon.sin(), hit.lat.cos(), hit.lat.sin()
        east, north = at(look.EAST), at(look.NORTH)
        nx = slon * clat - east * clon + north * slon * slat
        ny = slat - north * clat
        nz = clon * clat + east * slon + north * clon * slat
        length = (1 + east * east + north * north).rsqrt()
        vx, vz = cyaw * nx + syaw * nz, -syaw * nx + cyaw * nz
        vy, vz = cpit * ny + spit * vz, -spit * ny + cpit * vz
        vx, vy = crol * vx - srol * vy, srol * vx + crol * vy
        diffuse, specular = self._shade(vx * length, vy * length, vz * length, WRAP)
        open_ = at(look.OPEN)
        diffuse = diffuse * (0.25 + 0.75 * open_)

        early, late = self._blood()
        depth = scene.person.pulse * at(look.STRENGTH) * (early + (late - early) * at(look.DELAY))
        shine = scene.gloss * gloss * specular * open_
        self._blend(pictures, where, albedo * diffuse, depth, gains, cover, shine)
        seen = at(look.SKIN) * at(look.STRENGTH).clamp(max=1)
        part = skin[:, where[0], where[1]]
        part += cover * (seen if lid is None else seen * (1 - lid)) - cover * part

    def _shade(
        self, nx: torch.Tensor, ny: torch.Tensor, nz: torch.Tensor, wrap: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Lambert and Blinn-Phong light of the lamps on unit normals, camera axes: (diffuse, specular)."""
        # light from all sides comes rather from above
        diffuse = self.scene.ambient * (0.8 + 0.2 * ny)
        specular = torch.zeros_like(nx)
        for lx, ly, lz, power in self.scene.lamps.tolist():
            diffuse = diffuse + power / (1 + wrap) * (nx * lx + ny * ly + nz * lz + wrap).clamp(min=0)
            hx, hy, hz = lx, ly, lz + 1.0
            size = float(np.sqrt(hx * hx + hy * hy + hz * hz))
            s = ((nx * hx + ny * hy + nz * hz) / size).clamp(min=0)
            s = s * s
            s = s * s
            s = s * s
            specular = specular + power * s * s * s  # the 24th power
        return diffuse, specular
