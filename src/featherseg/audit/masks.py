"""What a mask looks like: its parts and holes, and whether it is only a drawn outline."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.types import Mask

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# A part with at most this share of the largest part's area is a slip of the pen.
_SPECK_SHARE = 0.01
# An outline's half width, at most: in pixels, or as a share of the drawn shape's longer side.
_THIN_PX, _THIN_SHARE = 3.0, 0.01
# Filling an outline at least doubles its area: below, it is a blot and not a line.
_LEAST_GAIN = 2.0
# Share of an outline's pixels that lie on the rim of what it encloses: letters and trees do not.
_ON_THE_RIM = 0.95
# Lines and enclosed regions with a smaller share of the largest are crumbs.
_CRUMB_SHARE = 0.05
# Breaks of up to twice these many pixels in an outline are bridged.
_BRIDGES_PX = (0, 1, 2)


@dataclass(frozen=True)
class MaskFacts:
    """What the audit keeps of a mask; ``share`` is that of the image's area, in [0, 1]."""

    share: float
    components: int
    specks: int
    holes: int
    hole_area_px: int
    is_outline: bool


def mask_facts(mask: Mask) -> MaskFacts:
    """Look at labels 0..K, uint8 (H, W); an empty mask gives zeros."""
    labels = [int(label) for label in np.unique(mask) if label]
    parts = [part_areas_px(mask == label) for label in labels]
    most = max(parts, key=len, default=())
    specks = [area for area in most if area <= _SPECK_SHARE * max(most)]
    is_outline = any(filled_outline(mask == label) is not None for label in labels)
    holes = () if is_outline else hole_areas_px(mask > 0)
    return MaskFacts(
        share=float(np.count_nonzero(mask)) / mask.size,
        components=len(most),
        specks=len(specks),
        holes=len(holes),
        hole_area_px=sum(holes),
        is_outline=is_outline,
    )


def part_areas_px(part: Bools) -> tuple[int, ...]:
    """Areas of the connected parts (8-neighborhood) of a bool (H, W), in reading order."""
    areas, _ = _parts(part)
    return tuple(int(area) for area in areas)


def hole_areas_px(part: Bools) -> tuple[int, ...]:
    """Areas of the background regions (4-neighborhood) that do not reach the image's border."""
    areas, _ = _holes(part)
    return tuple(int(area) for area in areas)


def odd_places(mask: Mask) -> tuple[tuple[float, float], ...]:
    """(row, column) of the middle of every speck and hole of labels 0..K, uint8 (H, W)."""
    places = []
    for label in np.unique(mask[mask > 0]):
        areas, centers = _parts(mask == label)
        places += centers[areas <= _SPECK_SHARE * areas.max()].tolist()
    places += _holes(mask > 0)[1].tolist()
    return tuple((row, col) for row, col in places)


def _parts(part: Bools, neighbors: int = 8) -> tuple[Floats, Floats]:
    """Area (N,) and center (N, 2), row and column, of every connected part in reading order."""
    regions = part.astype(np.uint8)
    _, _, stats, centers = cv2.connectedComponentsWithStats(regions, connectivity=neighbors)
    areas = np.asarray(stats[1:, cv2.CC_STAT_AREA], np.float64)
    return areas, np.asarray(centers[1:, ::-1], np.float64)


def _holes(part: Bools) -> tuple[Floats, Floats]:
    """As `_parts`, of the enclosed background; the first region read is the outside."""
    areas, centers = _parts(np.pad(~part, 1, constant_values=True), neighbors=4)
    return areas[1:], centers[1:] - 1


def filled_outline(part: Bools) -> Bools | None:
    """The region that a thin drawn outline encloses, with the outline; None for other masks.

    Outlines that leave the image on one side or over a corner count, as do breaks of up to four
    pixels. Vessels, membranes and thick rings (a heart's wall) are no outlines.
    """
    drawn = np.argwhere(part)
    if not drawn.size:
        return None
    sides = np.ptp(drawn, axis=0) + 1
    half_width = float(_depth_px(part).max())
    if half_width > max(_THIN_PX, _THIN_SHARE * float(sides.max())):
        return None
    for corners in (0, 1):
        for bridge_px in _BRIDGES_PX:
            filled = _filled(part, corners, bridge_px)
            gained = filled.sum() >= _LEAST_GAIN * part.sum()
            within_px = 2 * half_width + bridge_px + 1
            if gained and _is_rim(part, filled, within_px) and _is_simple(part, filled, bridge_px):
                return filled
    return None


def _depth_px(part: Bools) -> Floats:
    """Distance to the nearest pixel outside, where the image's border is outside too."""
    padded = np.pad(part, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(depth, np.float64)[1:-1, 1:-1]


def _filled(part: Bools, corners: int, bridge_px: int) -> Bools:
    """`part` with every region it cuts off that holds at most `corners` corners of the image.

    What lies around a closed outline holds all four corners; around one that leaves the image
    at a corner, three of them.
    """
    line = _grown(part, bridge_px)
    background = (~line).astype(np.uint8)
    count, labels, _, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    held = np.bincount(labels[[0, 0, -1, -1], [0, -1, 0, -1]], minlength=count)
    inside = held <= corners
    inside[0] = True  # the line itself
    return np.asarray(~_grown(~inside[labels], bridge_px) | part, np.bool_)


def _grown(region: Bools, by_px: int) -> Bools:
    if not by_px:
        return region
    kernel = np.ones((2 * by_px + 1, 2 * by_px + 1), np.uint8)
    return np.asarray(cv2.dilate(region.astype(np.uint8), kernel) > 0)


def _is_simple(part: Bools, filled: Bools, bridge_px: int) -> bool:
    """Whether every line encloses one region at most: vessels and membranes make many."""
    line = _grown(part, bridge_px)
    lines, regions = _parts(line)[0], _parts(filled & ~line, neighbors=4)[0]
    line_count, region_count = (
        int((areas >= _CRUMB_SHARE * areas.max(initial=0.0)).sum()) for areas in (lines, regions)
    )
    return 1 <= region_count <= line_count


def _is_rim(part: Bools, filled: Bools, within_px: float) -> bool:
    """Whether the line runs along the edge of what it encloses, the image's border included."""
    return bool((_depth_px(filled)[part] <= within_px).mean() >= _ON_THE_RIM)
