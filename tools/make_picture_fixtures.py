"""Writes tests/fixtures/pictures: small files of every kind, and what Pillow makes of them.

Run with Pillow and numpy:  python tools/make_picture_fixtures.py
`<name>.golden.png` beside a fixture holds the upright RGB8 pixels that decoding it must give.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent.parent / "tests/fixtures/pictures"
W, H = 24, 16


def scene(width=W, height=H, seed=0):
    """A smooth picture without any symmetry."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 255 * x / width
    green = 255 * y / height
    blue = 127 + 120 * np.sin((x * 1.7 + y * 2.3 + seed) / 6)
    rgb = np.stack([red, green, blue], -1)
    rgb[: height // 3, : width // 3] = [250, 30, 20]
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def put(name, data):
    (OUT / name).write_bytes(data)
    return data


def saved(image, fmt, **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def golden(name, image):
    put(f"{name}.golden.png", saved(image, "PNG", optimize=True))


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def turned(image, orientation):
    """What a camera stores so that tag `orientation` makes it `image`."""
    t = Image.Transpose
    undo = {2: t.FLIP_LEFT_RIGHT, 3: t.ROTATE_180, 4: t.FLIP_TOP_BOTTOM, 5: t.TRANSPOSE, 6: t.ROTATE_90,
            7: t.TRANSVERSE, 8: t.ROTATE_270}
    return image.transpose(undo[orientation]) if orientation in undo else image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(color, depth, rows, extra=b""):
    body = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", W, H, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def over_white(rgba):
    a = np.asarray(rgba).astype(float)
    alpha = a[..., 3:] / 255
    return Image.fromarray(np.floor(a[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8))


def orientations(base):
    for tag in range(1, 9):
        data = put(f"orientation_{tag}.jpg", saved(turned(base, tag), "JPEG", quality=95, subsampling=0, exif=exif(tag)))
        golden(f"orientation_{tag}.jpg", ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    stored = turned(base, 6)
    early = put("orientation_6.png", saved(stored, "PNG", exif=exif(6)))
    put("orientation_6.webp", saved(stored, "WEBP", lossless=True, exact=True, exif=exif(6)))
    put("orientation_6.tif", saved(stored, "TIFF", exif=exif(6)))
    at = early.index(b"eXIf") - 4
    length = 12 + struct.unpack(">I", early[at : at + 4])[0]
    late, end = early[:at] + early[at + length :], early.index(b"IEND") - 4 - length
    put("orientation_6_late.png", late[:end] + early[at : at + length] + late[end:])
    for name in ["orientation_6.png", "orientation_6.webp", "orientation_6.tif", "orientation_6_late.png"]:
        golden(name, base)


def kinds(base):
    grey = base.convert("L")
    alpha = Image.fromarray((np.mgrid[0:H, 0:W][1] * 255 // (W - 1)).astype(np.uint8))
    rgba = base.copy()
    rgba.putalpha(alpha)
    palette = base.quantize(15)
    one_bit = grey.point(lambda v: 255 * (v > 120)).convert("1", dither=Image.Dither.NONE)
    files = {
        "grey.png": (grey, "PNG", {}), "palette.png": (palette, "PNG", {}), "one_bit.png": (one_bit, "PNG", {}),
        "rgb.png": (base, "PNG", {}), "rgb.bmp": (base, "BMP", {}), "palette.bmp": (palette, "BMP", {}),
        "one_bit.bmp": (one_bit, "BMP", {}), "palette.gif": (palette, "GIF", {}),
        "grey.jpg": (grey, "JPEG", {"quality": 95}), "subsampled.jpg": (base, "JPEG", {"quality": 90}),
        "progressive.jpg": (base, "JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        "cmyk.jpg": (base.convert("CMYK"), "JPEG", {"quality": 95}),
        "lossless.webp": (base, "WEBP", {"lossless": True}), "lossy.webp": (base, "WEBP", {"quality": 90}),
        "rgb.tif": (base, "TIFF", {}), "lzw.tif": (base, "TIFF", {"compression": "tiff_lzw"}),
        "deflate.tif": (base, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "packbits.tif": (base, "TIFF", {"compression": "packbits"}),
        "cmyk.tif": (base.convert("CMYK"), "TIFF", {}), "one_bit.tif": (one_bit, "TIFF", {}),
        "grey.tif": (grey, "TIFF", {}), "jpeg.tif": (base, "TIFF", {"compression": "jpeg", "quality": 95}),
        "palette.tif": (palette, "TIFF", {}), "fax4.tif": (one_bit, "TIFF", {"compression": "group4"}),
    }
    for name, (image, fmt, options) in files.items():
        golden(name, Image.open(io.BytesIO(put(name, saved(image, fmt, **options)))).convert("RGB"))
    for name, fmt in [("rgba.png", "PNG"), ("rgba.tif", "TIFF"), ("rgba.webp", "WEBP")]:
        options = {"lossless": True, "exact": True} if fmt == "WEBP" else {}
        golden(name, over_white(Image.open(io.BytesIO(put(name, saved(rgba, fmt, **options)))).convert("RGBA")))
    put("grey_alpha.png", saved(rgba.convert("LA"), "PNG"))
    golden("grey_alpha.png", over_white(rgba.convert("LA").convert("RGBA")))
    put("palette_transparent.png", saved(palette, "PNG", transparency=3))
    golden("palette_transparent.png", over_white(Image.open(OUT / "palette_transparent.png").convert("RGBA")))
    ycck = bytearray((OUT / "cmyk.jpg").read_bytes())
    ycck[ycck.index(b"Adobe") + 11] = 2
    golden("ycck.jpg", Image.open(io.BytesIO(put("ycck.jpg", bytes(ycck)))).convert("RGB"))
    sixteen(np.asarray(base).astype(np.uint16), np.asarray(grey).astype(np.uint16))
    put("float.tif", saved(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"))


def sixteen(rgb, grey):
    """16 bits a sample, off from 257 * v by less than half a level."""
    nudge = ((np.arange(W) * 37) % 255 - 127).astype(int)
    wide = lambda a, n: (a.astype(int) * 257 + n).clip(0, 65535).astype(">u2")
    put("rgb16.png", raw_png(2, 16, [row.tobytes() for row in wide(rgb, nudge[None, :, None])]))
    golden("rgb16.png", Image.fromarray(rgb.astype(np.uint8)))
    put("grey16.png", raw_png(0, 16, [row.tobytes() for row in wide(grey, nudge[None, :])]))
    put("grey16.tif", saved(Image.fromarray(wide(grey, nudge[None, :]).astype("<u2")), "TIFF"))
    for name in ["grey16.png", "grey16.tif"]:
        golden(name, Image.fromarray(grey.astype(np.uint8)).convert("RGB"))


def several_frames(base):
    frames = [base.quantize(15), scene(seed=9).quantize(15)]
    put("animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50))
    golden("animated.gif", Image.open(OUT / "animated.gif").convert("RGB"))
    put("animated.webp", saved(base, "WEBP", save_all=True, append_images=[scene(seed=9)], duration=50, lossless=True))
    golden("animated.webp", Image.open(OUT / "animated.webp").convert("RGB"))
    put("two_pages.tif", saved(base, "TIFF", save_all=True, append_images=[scene(10, 8)]))
    golden("two_pages.tif", base)
    put("two_pictures.mpo", saved(base, "MPO", save_all=True, append_images=[scene(seed=9)], quality=95, subsampling=0))
    golden("two_pictures.mpo", Image.open(OUT / "two_pictures.mpo").convert("RGB"))


def resizes():
    rng = np.random.default_rng(7)
    noise = rng.integers(-40, 40, (47, 61, 3))
    source = Image.fromarray((np.asarray(scene(61, 47)).astype(int) + noise).clip(0, 255).astype(np.uint8))
    put("source.png", saved(source, "PNG"))
    f = Image.Resampling
    for name, filter in [("nearest", f.NEAREST), ("box", f.BOX), ("bilinear", f.BILINEAR), ("hamming", f.HAMMING),
                         ("bicubic", f.BICUBIC), ("lanczos", f.LANCZOS)]:
        put(f"down_{name}.png", saved(source.resize((14, 21), filter, box=(3.25, 2.75, 53.5, 43.0)), "PNG"))
        put(f"up_{name}.png", saved(source.resize((40, 33), filter, box=(20.5, 10.25, 41.0, 30.5)), "PNG"))
    short = source.resize((int(28 * 61 / 47), 28), f.BICUBIC)
    left = (short.width - 20) // 2
    put("processor.png", saved(short.crop((left, 4, left + 20, 24)), "PNG"))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    picture = scene()
    orientations(picture)
    kinds(picture)
    several_frames(picture)
    resizes()
