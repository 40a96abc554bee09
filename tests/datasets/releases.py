"""Small made-up data sets in the very arrangement of each public release."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Uint8 = NDArray[np.uint8]

SHAPE = (40, 48)


def picture(seed: int, color: bool = False, shape: tuple[int, int] = SHAPE) -> Uint8:
    """Smooth noise that no other seed gives."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 7, 3) if color else (6, 7), dtype=np.uint8)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def lesion(seed: int, shape: tuple[int, int] = SHAPE) -> Uint8:
    """A block of 255 at a place that depends on the seed."""
    mask = np.zeros(shape, np.uint8)
    row, col = 5 + seed % 10, 8 + seed % 15
    mask[row : row + 14, col : col + 16] = 255
    return mask


def save(path: Path, pixels: Uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def save_packed(path: Path, pixels: Uint8) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PPM")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(buffer.getvalue()))


def save_stack(path: Path, slices: list[Uint8]) -> None:
    first, *others = (PIL.Image.fromarray(pixels) for pixels in slices)
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others)


def outline(seed: int, center: tuple[float, float] = (20.0, 24.0)) -> Uint8:
    """An ellipse drawn as a line, (x, y) as OpenCV has it."""
    line = np.zeros(SHAPE, np.uint8)
    axes = (30.0 + seed % 3, 24.0)
    cv2.ellipse(line, ((center[1], center[0]), axes, 20.0 + seed), 255, 1)
    return line


def bp(root: Path) -> Path:
    for seed, name in enumerate(("1_1", "1_2", "10_1", "2_1")):
        save(root / f"train/{name}.tif", picture(seed))
        save(root / f"train/{name}_mask.tif", lesion(seed) * np.uint8(name != "2_1"))
    save(root / "test/1.tif", picture(9))
    return root


def hc18(root: Path) -> Path:
    rows = ["filename,pixel size(mm),head circumference (mm)"]
    for seed, name in enumerate(("000_HC", "010_HC", "010_2HC", "011_HC")):
        save(root / f"training_set/{name}.png", picture(seed))
        save(root / f"training_set/{name}_Annotation.png", outline(seed))
        rows.append(f"{name}.png,0.{seed + 1}25,{80 + seed}.5")
    (root / "training_set_pixel_size_and_HC.csv").write_text("\r\n".join(rows) + "\r\n")
    return root


def stare(root: Path) -> Path:
    for seed, name in enumerate(("im0001", "im0002", "im0255")):
        save_packed(root / f"stare-images/{name}.ppm.gz", picture(seed, color=True))
        save_packed(root / f"labels-ah/{name}.ah.ppm.gz", lesion(seed))
        save_packed(root / f"labels-vk/{name}.vk.ppm.gz", lesion(seed + 1))
    return root


def isbi2012(root: Path) -> Path:
    slices = range(12)
    save_stack(root / "train-volume.tif", [picture(seed) for seed in slices])
    save_stack(root / "train-labels.tif", [255 - lesion(seed) for seed in slices])
    save_stack(root / "test-volume.tif", [picture(99)] * 3)
    return root


def isbi2012_png(root: Path) -> Path:
    for seed in range(12):
        save(root / f"membrane/train/image/{seed}.png", picture(seed))
        save(root / f"membrane/train/label/{seed}.png", 255 - lesion(seed))
    save(root / "membrane/test/0.png", picture(99))
    return root


def isic2018(root: Path, parts: tuple[str, ...] = ("Training", "Validation")) -> Path:
    for first, part in enumerate(parts):
        for number in range(3):
            name = f"ISIC_{first:03d}{number:04d}"
            seed = 10 * first + number
            images = root / f"ISIC2018_Task1-2_{part}_Input"
            save(images / f"{name}.jpg", picture(seed, color=True))
            (images / "LICENSE.txt").write_text("a license")
            masks = root / f"ISIC2018_Task1_{part}_GroundTruth"
            save(masks / f"{name}_segmentation.png", lesion(seed))
    return root


def udiat(root: Path) -> Path:
    for seed in range(1, 4):
        save(root / f"original/{seed:06d}.png", picture(seed))
        save(root / f"GT/{seed:06d}.png", lesion(seed))
    (root / "DatasetB.csv").write_text("Image;Type;\n1;Benign;CYST\n2;Malignant;IDC\n3;Benign;FA\n")
    return root


def busbra(root: Path) -> Path:
    rows = ["ID,Case,Histology,Pathology,BIRADS,kFold"]
    names = ("0001-l", "0001-r", "0002-l", "0003-s")
    for seed, (name, kind) in enumerate(
        zip(names, ("benign", "benign", "malignant", "benign"), strict=True)
    ):
        save(root / f"Images/bus_{name}.png", picture(seed))
        save(root / f"Masks/mask_{name}.png", lesion(seed))
        rows.append(f'bus_{name},{int(name[:4])},"Fibroadenoma, other",{kind},3,{seed}')
    (root / "bus_data.csv").write_text("\n".join(rows))
    return root


def coco(root: Path) -> Path:
    images, annotations = [], []
    for number in range(1, 4):
        save(root / f"images/scan{number}.png", picture(number))
        size = {"height": SHAPE[0], "width": SHAPE[1]}
        images.append({"id": number, "file_name": f"scan{number}.png", **size})
        square = [[5, 5, 25, 5, 25, 25, 5, 25]]
        runs = {"size": list(SHAPE), "counts": [240, 30, SHAPE[0] * SHAPE[1] - 270]}
        annotations.append({"image_id": number, "category_id": 7, "segmentation": square})
        annotations.append({"image_id": number, "category_id": 3, "segmentation": runs})
    categories = [{"id": 7, "name": "body"}, {"id": 3, "name": "head"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def csv_list(root: Path) -> Path:
    rows = ["image,mask,group,label,spacing_row_mm,spacing_col_mm"]
    for number in (1, 2, 10):
        save(root / f"a/scan{number}.png", picture(number))
        save(root / f"b/scan{number}.tif", lesion(number))
        rows.append(f"a/scan{number}.png,b/scan{number}.tif,p{number % 2},benign,0.1,0.2")
    (root / "list.csv").write_text("\n".join(rows))
    return root


# Layout -> what writes such a data set.
RELEASES: dict[str, Callable[[Path], Path]] = {
    "bp": bp,
    "busbra": busbra,
    "coco": coco,
    "csv": csv_list,
    "hc18": hc18,
    "isbi2012": isbi2012,
    "isbi2012_interior": isbi2012_png,
    "isic2018": isic2018,
    "stare": stare,
    "stare_vk": stare,
    "udiat": udiat,
}
