"""Image files to `Image` values, and pictures of results."""

from featherseg.images.raster import read_image

__all__ = ["read_image"]
