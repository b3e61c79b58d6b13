"""Rendering of a synthetic person: an ellipsoid head cast ray by ray, neck and shoulders, background and light.

Everything is a closed form over a batch of frames, so that the pulse in the picture is exactly the pulse asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from deepmag.models.synthetic.motion import Motion, Task, random_motion
from deepmag.models.synthetic.person import BLOOD, Person, smooth_noise
from deepmag.models.synthetic.waveforms import Rhythm, blood_volume, breath

TRANSIT = 0.05  # s: the pulse reaches the latest parts of the face this much after the earliest


@dataclass(frozen=True)
class Framing:
    """Where the head is: centre as a share of the picture, half height as a share of the picture's height.

    aspect: width of the scene seen / its height (a 4:3 picture reduced to a square has 4/3).
    """

    x: float = 0.5
    y: float = 0.47
    half_height: float = 0.41
    aspect: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One take: who, how they move, what light, and the truth.

    t: (T,) s. pulse, late_pulse: (T,) blood volume, peak-to-peak about 1, at the first and at the last part of the
    face to get it. light: (T, 3) factors on the illumination. colour: (3,) relative pulse of R, G, B. background:
    (3, h, w) linear.
    """

    person: Person
    framing: Framing
    rhythm: Rhythm
    motion: Motion
    t: NDArray[np.float64]
    pulse: NDArray[np.float64]
    late_pulse: NDArray[np.float64]
    chest: NDArray[np.float64]
    light: NDArray[np.float64]
    lamps: NDArray[np.float64]
    ambient: float
    gloss: float
    exposure: float
    colour: NDArray[np.float64]
    background: torch.Tensor
    cloth: NDArray[np.float64]

    def with_pulse_times(self, factor: float) -> Scene:
        """The same take with its pulse ``factor`` times larger: the ideal magnified video."""
        return replace(self, pulse=self.pulse * factor, late_pulse=self.late_pulse * factor)


def random_background(rng: np.random.Generator, size: int = 64, *, black: bool = False) -> torch.Tensor:
    """(3, size, size) linear: a wall, a gradient, blotches or a pattern of hard-edged boxes."""
    if black:
        return torch.full((3, size, size), 0.004)
    colour = np.exp(rng.uniform(np.log(0.03), np.log(0.7))) * rng.uniform(0.7, 1.3, 3)
    picture = np.ones((3, size, size)) * colour[:, None, None]
    if rng.random() < 0.6:
        sigma = float(np.exp(rng.uniform(0, np.log(12))))
        picture *= np.exp(rng.uniform(0.1, 0.6) * smooth_noise(rng, (size, size), sigma))
    for _ in range(int(rng.integers(0, 8))):
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(2, size // 2, 2)
        picture[:, y : y + h, x : x + w] = (
            np.exp(rng.uniform(np.log(0.02), np.log(0.8))) * rng.uniform(0.7, 1.3, 3)
        )[:, None, None]
    return torch.from_numpy(picture.clip(0.002, 0.95).astype(np.float32))


def random_light(
    rng: np.random.Generator, t: NDArray[np.float64], *, steady: bool = False
) -> NDArray[np.float64]:
    """(T, 3) factors: slow drift, steps of a screen's light, ripple of a lamp, breathing of the exposure control."""
    from deepmag.models.synthetic.motion import wander

    log = np.zeros((len(t), 3))
    if not steady:
        log += wander(rng, t, float(np.exp(rng.uniform(np.log(2e-4), np.log(1e-2)))), 0.8)[:, None]
        if rng.random() < 0.3:
            log += (
                float(np.exp(rng.uniform(np.log(5e-4), np.log(1e-2))))
                * np.sin(2 * np.pi * rng.uniform(0.3, 7) * t + rng.uniform(0, 7))[:, None]
            )
        if rng.random() < 0.3:  # a screen whose picture changes, coloured
            steps = np.cumsum(
                rng.standard_normal((len(t), 3)) * (rng.random(len(t)) < 1.0 * (t[1] - t[0]))[:, None], axis=0
            )
            log += 0.01 * steps
        if rng.random() < 0.3:  # white balance that hunts
            log += wander(rng, t, float(np.exp(rng.uniform(np.log(2e-4), np.log(3e-3)))), 1.0)[
                :, None
            ] * rng.standard_normal(3)
    return np.asarray(np.exp(log))


def random_scene(
    rng: np.random.Generator,
    frames: int,
    rate: float,
    *,
    framing: Framing | None = None,
    person: Person | None = None,
    rhythm: Rhythm | None = None,
    task: Task | None = None,
    still: bool = False,
) -> Scene:
    """A take of ``frames`` frames at ``rate`` Hz; what is not given is drawn by ``rng``.

    still: no motion, steady light.
    """
    person = person or Person.random(rng)
    rhythm = rhythm or Rhythm.random(rng)
    t = np.arange(frames) / rate
    chest = breath(rhythm, t)
    motion = random_motion(rng, t, chest, "A" if still else task)
    if still:
        zero = np.zeros(frames)
        motion = Motion(zero, zero, zero, zero, zero, zero + 1, zero, zero, zero, zero)
    lamps = np.stack(
        [
            np.concatenate([direction / np.linalg.norm(direction), [power]])
            for direction, power in (
                (np.array([rng.normal(0, 0.8), rng.normal(0.4, 0.5), 1.0]), rng.uniform(0.4, 1.0)),
                (np.array([rng.normal(0, 1.5), rng.normal(0.2, 0.6), 0.6]), rng.uniform(0.0, 0.6)),
            )
        ]
    )
    colour = BLOOD * np.exp(rng.normal(0, 0.12, 3)) * np.array([np.exp(rng.normal(0, 0.15)), 1.0, 1.0])
    return Scene(
        person,
        framing or Framing(),
        rhythm,
        motion,
        t,
        blood_volume(rhythm, t),
        blood_volume(rhythm, t - TRANSIT),
        chest,
        random_light(rng, t, steady=still),
        lamps,
        ambient=float(rng.uniform(0.15, 0.6)),
        gloss=float(rng.uniform(0.0, 0.5)),
        exposure=float(rng.uniform(0.5, 1.15)),
        colour=colour / colour[1],
        background=random_background(rng, black=task in ("B", "C")),
        cloth=np.exp(rng.uniform(np.log(0.02), np.log(0.6))) * rng.uniform(0.6, 1.4, 3),
    )


@dataclass(frozen=True)
class Rendered:
    """A rendered take, noiseless.

    video: (T, 3, H, W) float32 grey levels in [0, 255]. skin: (T, H, W) in [0, 1], cover by skin that pulses.
    """

    video: torch.Tensor
    skin: torch.Tensor


def _lookup(maps: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """maps: (C, h, w); u, v: (T, H, W) in [-1, 1]. Returns (C, T, H, W)."""
    u, v = torch.broadcast_tensors(u, v)  # type: ignore[no-untyped-call]
    t, h, w = u.shape
    grid = torch.stack([u, v], dim=-1).view(1, t * h, w, 2)
    return grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False).view(
        -1, t, h, w
    )


def render(
    scene: Scene, height: int, width: int, frames: slice = slice(None), device: str = "cpu"
) -> Rendered:
    """Render the frames of a take. height, width: px; supersample by rendering larger and area-averaging."""

    def column(track: NDArray[np.float64]) -> torch.Tensor:
        return torch.as_tensor(track[frames], dtype=torch.float32, device=device)[:, None, None]

    m, framing, person = scene.motion, scene.framing, scene.person
    maps = person.maps.to(device)
    # Scene coordinates: unit = the picture's height, origin at its centre, y up, moved by the camera.
    gy = (0.5 - (torch.arange(height, device=device) + 0.5) / height)[None, :, None]
    gx = (((torch.arange(width, device=device) + 0.5) / width - 0.5) * framing.aspect)[None, None, :]
    gx, gy = gx + column(m.camera_x), gy + column(m.camera_y)
    hh = framing.half_height
    # Head coordinates: unit = half the head's height.
    cx, cy = (framing.x - 0.5) * framing.aspect, 0.5 - framing.y
    x = (gx - cx - hh * column(m.x)) / (hh * column(m.scale))
    y = (gy - cy - hh * column(m.y)) / (hh * column(m.scale))

    # Rotation from the head's own axes to the camera's: roll after pitch after yaw.
    cyaw, syaw = column(m.yaw).cos(), column(m.yaw).sin()
    cpit, spit = column(m.pitch).cos(), column(m.pitch).sin()
    crol, srol = column(m.roll).cos(), column(m.roll).sin()
    rx, ry = crol * x + srol * y, -srol * x + crol * y  # roll undone in the picture plane
    # A ray (rx, ry, z) in the head's axes is p + z d; |(p + z d) / radii| = 1 is a quadratic in z.
    d = (-syaw * cpit, -spit + 0 * syaw, cyaw * cpit)
    # after pitch: (rx, cp ry, sp ry); yaw undone: rotate about the vertical axis
    py, pz0 = cpit * ry, spit * ry
    p = (cyaw * rx - syaw * pz0, py, syaw * rx + cyaw * pz0)
    a = b = c = torch.zeros((), device=device)
    for pi, di, radius in zip(p, d, person.radii, strict=True):
        a = a + (di / radius) ** 2
        b = b + pi * di / radius**2
        c = c + (pi / radius) ** 2
    disc = b * b - a * (c - 1)
    edge = 3.0 / (hh * height)  # soften the outline by about a pixel and a half
    head = (disc / edge + 0.5).clamp(0, 1)
    z = (-b + disc.clamp(min=0).sqrt()) / a
    q = [pi + z * di for pi, di in zip(p, d, strict=True)]
    n = [qi / radius**2 for qi, radius in zip(q, person.radii, strict=True)]
    norm = (n[0] ** 2 + n[1] ** 2 + n[2] ** 2).sqrt().clamp(min=1e-6)
    n = [ni / norm for ni in n]
    lon = torch.atan2(q[0] / person.radii[0], q[2] / person.radii[2])
    lat = torch.asin((q[1] / person.radii[1]).clamp(-1, 1))
    # The jaw drops what lies below the mouth's upper lip, in front of the ears.
    drop = column(m.jaw) * 0.16 * torch.sigmoid(-14 * (lat + 0.47)) * torch.sigmoid(6 * (1.0 - lon.abs()))
    albedo, strength, delay, gloss, slope_lon, slope_lat, skin, eyelid = _head_maps(maps, lon, lat + drop)
    lid = (column(m.blink) * eyelid).clamp(0, 1)
    tone = maps[:3, 52, 96]  # bare skin above the nose's bridge
    albedo = albedo * (1 - lid) + tone[:, None, None, None] * lid

    # Bump: tilt the normal against the slopes (east and north are the map's directions on the head).
    nx, ny, nz = n[0] - slope_lon * lon.cos(), n[1] - slope_lat, n[2] + slope_lon * lon.sin()
    length = (nx * nx + ny * ny + nz * nz).sqrt()
    # To camera axes: yaw, pitch, roll in turn.
    vx, vz = cyaw * nx + syaw * nz, -syaw * nx + cyaw * nz
    vy, vz = cpit * ny + spit * vz, -spit * ny + cpit * vz
    vx, vy = crol * vx - srol * vy, srol * vx + crol * vy
    diffuse, specular = _shade(scene, vx / length, vy / length, vz / length)

    blood = column(scene.pulse) * (1 - delay) + column(scene.late_pulse) * delay
    depth = person.pulse * strength * blood
    colour = torch.as_tensor(scene.colour, dtype=torch.float32, device=device)[:, None, None, None]
    light = torch.as_tensor(scene.light[frames].T, dtype=torch.float32, device=device)[:, :, None, None]
    face = albedo * (1 - colour * depth) * diffuse + scene.gloss * gloss * specular

    # Neck: a cylinder of skin below the head; shoulders: cloth that rises and falls with the breath.
    bx, by = gx - cx - 0.6 * hh * column(m.x), gy - cy - 0.3 * hh * column(m.y)
    lift = 0.03 * column(scene.chest)
    bx, by = torch.broadcast_tensors(bx, by)  # type: ignore[no-untyped-call]
    neck_x = bx / (hh * 0.42)
    neck = ((1 - neck_x.abs()) * 6).clamp(0, 1) * (by < -0.3 * hh)
    bend = (1 - neck_x.clamp(-1, 1) ** 2).sqrt()
    neck_light, _ = _shade(scene, neck_x.clamp(-1, 1), torch.full_like(neck_x, -0.3), bend)
    neck_pulse = 0.6 * person.pulse * column(scene.pulse)
    throat = tone[:, None, None, None] * (1 - colour * neck_pulse) * (0.75 * neck_light)
    shoulder_line = -1.28 * hh - 0.28 * (bx.abs() / hh - 0.35).clamp(min=0) ** 1.6 * hh + lift * hh
    body = ((shoulder_line - by) / (3.0 / height) + 0.5).clamp(0, 1) * (bx.abs() < 2.3 * hh)
    cloth_light, _ = _shade(
        scene, (bx / (2.6 * hh)).clamp(-0.9, 0.9), torch.full_like(bx, 0.25), torch.full_like(bx, 0.9)
    )
    cloth = (
        torch.as_tensor(scene.cloth, dtype=torch.float32, device=device)[:, None, None, None] * cloth_light
    )
    cloth = cloth * (1 + 0.12 * torch.sin(bx / hh * 9 + 2) * torch.sin((by - lift * hh) / hh * 7))

    reach = max(1.0, framing.aspect)
    wall = _lookup(scene.background.to(device), gx / reach * 1.8, -gy * 1.8)
    picture = wall
    for layer, cover in ((throat, neck), (cloth, body), (face, head)):
        picture = picture * (1 - cover) + layer * cover
    skin_cover = neck * (1 - body) * (1 - head) * 0.6 + head * skin * strength.clamp(max=1) * (1 - lid)
    linear = (picture * light * scene.exposure).clamp(0, 1)
    video = 255 * linear.clamp(min=1e-5) ** (1 / 2.2)
    return Rendered(video.transpose(0, 1).contiguous(), skin_cover)


def _head_maps(maps: torch.Tensor, lon: torch.Tensor, lat: torch.Tensor) -> tuple[torch.Tensor, ...]:
    found = _lookup(maps, lon / np.pi, lat / (np.pi / 2))
    return (found[:3], *found[3:].unbind(0))


def _shade(
    scene: Scene, nx: torch.Tensor, ny: torch.Tensor, nz: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lambert and Blinn-Phong light of the scene's lamps on unit normals, camera axes: (diffuse, specular)."""
    diffuse = torch.full_like(nx, scene.ambient)
    specular = torch.zeros_like(nx)
    for lx, ly, lz, power in scene.lamps.tolist():
        diffuse = diffuse + power * (nx * lx + ny * ly + nz * lz).clamp(min=0)
        hx, hy, hz = lx, ly, lz + 1.0
        size = float(np.sqrt(hx * hx + hy * hy + hz * hz))
        specular = specular + power * ((nx * hx + ny * hy + nz * hz) / size).clamp(min=0) ** 24
    return diffuse, specular
