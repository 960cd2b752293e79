#!/usr/bin/env python3
"""Holds patchdex's foreign files against NumPy, pandas, pyarrow and polars, in both directions.

`check_exchange.py FOLDER` asserts that they read what is in FOLDER/ours exactly, and writes the same content with them
into FOLDER/theirs, for patchdex to read; tests/exchange.rs does the other half. Files of ann-benchmarks go through
datasets/hdf5.py on the way. Without FOLDER it only fetches its
environment (requirements-exchange.txt) into the cache.
"""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
sys.path.insert(1, str(Path(__file__).resolve().parent / "datasets"))
import hdf5  # noqa: E402
import setup  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-exchange.txt"
# tests/exchange.rs makes the same content.
ROWS, DIM = 5, 6
IMAGES = ("a/b.jpg", "a/b.jpg", "ü, 日本.png", "ü, 日本.png", "c d.png")
METADATA = {
    "label": ("cat", "cat", None, None, "dög"),
    "count": (1, 1, -(2**53) - 1, -(2**53) - 1, None),
    "weight": (0.1, 0.1, None, None, -2.5),
    "seen": (True, True, False, False, None),
}


def whole():
    """Whole numbers of a byte, [ROWS, DIM]."""
    import numpy as np

    row, column = np.indices((ROWS, DIM))
    return (row * 51 + column * 11) % 256


def exact():
    """Numbers that half precision holds, [ROWS, DIM] of float32."""
    import numpy as np

    return ((whole() - 128) / 64).astype(np.float32)


def scaled():
    """The rows of `exact`, the largest number of each at 127."""
    import numpy as np

    largest = np.abs(exact()).max(axis=1, keepdims=True)
    numbers = exact() / (largest / np.float32(127))
    return (np.sign(numbers) * np.floor(np.abs(numbers) + np.float32(0.5))).astype(np.int8)


def boxes():
    import numpy as np

    return np.array([[row * 14, row + 0.5, 14, 28] for row in range(ROWS)], np.float32)


def require(condition, what):
    if not condition:
        raise setup.Failure(f"{what} is not what patchdex was given")


def check_vectors(ours):
    import numpy as np

    npy = np.load(ours / "exact.npy")
    require(npy.dtype == np.float32 and npy.flags.c_contiguous and np.array_equal(npy, exact()), "exact.npy")
    for name, dtype, expected in (
        ("exact.fbin", "<f4", exact()),
        ("scaled.i8bin", "i1", scaled()),
        ("whole.u8bin", "u1", whole()),
    ):
        header, numbers = np.fromfile(ours / name, "<u4", 2), np.fromfile(ours / name, dtype, offset=8)
        require(header.tolist() == [ROWS, DIM], f"the header of {name}")
        require(np.array_equal(numbers.reshape(ROWS, DIM), expected), name)
    for name, dtype, expected in (
        ("exact.fvecs", "<f4", exact()),
        ("whole.ivecs", "<i4", whole()),
        ("whole.bvecs", "u1", whole()),
    ):
        rows = np.fromfile(ours / name, np.dtype([("dim", "<i4"), ("numbers", dtype, DIM)]))
        require(len(rows) == ROWS and (rows["dim"] == DIM).all(), f"the dims of {name}")
        require(np.array_equal(rows["numbers"], expected), name)


def check_patches(path):
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    names = ["image", "x", "y", "width", "height", "vector", *METADATA, "meta_image"]
    require(schema.names == names, f"the columns {schema.names}")
    vector = schema.field("vector").type
    require(pa.types.is_list(vector) and vector.value_type == pa.float32(), f"the type {vector} of vector")
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.bool_()]
    require([schema.field(name).type for name in METADATA] == kinds, "the kinds of metadata")

    frame = pl.read_parquet(path)
    require(frame.schema["vector"] == pl.List(pl.Float32), f"the type {frame.schema['vector']} of vector in polars")
    require(frame["image"].to_list() == list(IMAGES), "image in polars")
    require(np.array_equal(frame.select("x", "y", "width", "height").to_numpy(), boxes()), "the box in polars")
    require(frame["vector"].to_list() == exact().tolist(), "vector in polars")
    for name, values in METADATA.items():
        require(frame[name].to_list() == list(values), f"{name} in polars")
    require(frame["meta_image"].to_list() == ["-"] * ROWS, "meta_image in polars")

    # With its own types pandas keeps whole numbers beyond 2^53 where one is missing.
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    require(frame["image"].tolist() == list(IMAGES), "image in pandas")
    require(np.array_equal(frame[["x", "y", "width", "height"]].to_numpy(np.float32), boxes()), "the box in pandas")
    vectors = np.stack(frame["vector"])
    require(vectors.dtype == np.float32 and np.array_equal(vectors, exact()), "vector in pandas")
    for name, values in METADATA.items():
        found = [None if value is pd.NA else value for value in frame[name]]
        require(found == list(values), f"{name} in pandas")


def write_vectors(theirs):
    import numpy as np

    for dtype in ("<f2", "<f4", "<f8", "|i1", "|u1", "<i4"):
        content = whole() % 128 if dtype[1] in "iu" else exact()
        np.save(theirs / f"{dtype[1:]}.npy", content.astype(dtype))
    np.save(theirs / "one_row.npy", exact()[0])
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(theirs / f"version_{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, exact(), version)
    np.save(theirs / "refused_big_endian.npy", exact().astype(">f4"))
    np.save(theirs / "refused_fortran.npy", np.asfortranarray(exact()))
    for extension, dtype, content in (("fbin", "<f4", exact()), ("i8bin", "i1", scaled()), ("u8bin", "u1", whole())):
        with open(theirs / f"bin.{extension}", "wb") as file:
            np.array([ROWS, DIM], "<u4").tofile(file)
            content.astype(dtype).tofile(file)
    for extension, dtype, content in (("fvecs", "<f4", exact()), ("ivecs", "<i4", whole()), ("bvecs", "u1", whole())):
        rows = np.zeros(ROWS, np.dtype([("dim", "<i4"), ("numbers", dtype, DIM)]))
        rows["dim"], rows["numbers"] = DIM, content
        rows.tofile(theirs / f"vecs.{extension}")


def write_patches(theirs):
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"image": list(IMAGES)}
    columns.update(zip(("x", "y", "width", "height"), boxes().T.tolist()))
    columns["vector"] = exact().tolist()
    columns.update((name, list(values)) for name, values in METADATA.items())

    # What people write who know nothing of Parquet: the defaults.
    frame = pd.DataFrame({**columns, "vector": list(exact()), "count": pd.array(columns["count"], dtype="Int64")})
    frame.to_parquet(theirs / "pandas.parquet")
    frame.set_index(np.arange(ROWS)[::-1]).to_parquet(theirs / "pandas_index.parquet", row_group_size=2)
    frame.to_parquet(theirs / "refused_gzip.parquet", compression="gzip")
    frame.drop(columns=["vector"]).to_parquet(theirs / "refused_no_vector.parquet")
    frame.drop(columns=["width"]).to_parquet(theirs / "refused_half_a_box.parquet")
    uneven = [*exact()[:3], exact()[3, :2], exact()[4]]
    frame.assign(vector=uneven).to_parquet(theirs / "refused_uneven.parquet")
    frame.assign(vector=[*exact()[:3], None, exact()[4]]).to_parquet(theirs / "refused_missing.parquet")
    frame.assign(vector=whole().tolist()).to_parquet(theirs / "refused_integers.parquet")
    frame = pl.DataFrame(columns)
    frame.write_parquet(theirs / "polars.parquet")
    lists = pl.col("vector").cast(pl.List(pl.Float32))
    frame.with_columns(lists, pl.col("label").cast(pl.Categorical)).write_parquet(theirs / "polars_f32.parquet")
    arrays = frame.with_columns(pl.col("vector").cast(pl.Array(pl.Float32, DIM)))
    arrays.write_parquet(theirs / "polars_array.parquet")

    table = pa.table(columns)
    at = table.schema.get_field_index("vector")
    fixed = table.set_column(at, "vector", table["vector"].cast(pa.list_(pa.float32(), DIM)))
    pq.write_table(fixed, theirs / "pyarrow_fixed.parquet", compression="none", data_page_version="2.0")
    large = table.set_column(at, "vector", table["vector"].cast(pa.large_list(pa.float64())))
    pq.write_table(large, theirs / "pyarrow_large.parquet", use_compliant_nested_type=False, row_group_size=1)
    bare = fixed.select(["image", "vector"]).append_column("when", pa.array([0] * ROWS, pa.timestamp("ms")))
    bare = bare.append_column("id", pa.array([2**64 - 1] * ROWS, pa.uint64()))
    bare = bare.append_column("nan", pa.array([float("nan")] * ROWS))
    pq.write_table(bare, theirs / "no_boxes.parquet", compression="zstd")


def write_benchmark(theirs):
    """Makes files of ann-benchmarks, and has hdf5.py convert what it can: theirs/angular and theirs/euclidean."""
    import h5py
    import numpy as np

    units = exact() / np.linalg.norm(exact(), axis=1, keepdims=True)
    files = {
        "angular": ("angular", exact().astype(">f8"), exact()[:2]),
        "euclidean": ("euclidean", units, exact()[:2]),
        "unequal": ("euclidean", exact(), exact()[:2]),
        "other": ("hamming", whole() > 100, whole()[:2] > 100),
        "sets": ("jaccard", whole(), whole()[:2]),
        "uneven": ("angular", exact(), exact()[:, :3]),
        "no_distance": (None, exact(), exact()[:2]),
    }
    for name, (distance, train, test) in files.items():
        with h5py.File(theirs / f"{name}.hdf5", "w") as file:
            file["train"], file["test"] = train, test
            if distance:
                file.attrs["distance"] = distance
    (theirs / "text.hdf5").write_text("no HDF5")
    for name, why in {
        "unequal": "lengths",
        "other": "not sets or bits",
        "sets": "'jaccard'",
        "uneven": "equally long",
        "no_distance": "no file of ann-benchmarks",
        "text": "not an HDF5 file",
        "missing": "not there",
    }.items():
        try:
            hdf5.convert(theirs / f"{name}.hdf5", theirs / name)
        except setup.Failure as error:
            require(why in str(error), f"the message '{error}'")
            require(not list((theirs / name).glob("*")), f"the folder {name}, which holds what failed,")
        else:
            raise setup.Failure(f"{name}.hdf5 was converted")
    for name in ("angular", "euclidean"):
        hdf5.convert(theirs / f"{name}.hdf5", theirs / name)
    require(np.array_equal(np.load(theirs / "euclidean/base.npy"), units), "euclidean/base.npy")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold patchdex's foreign files against NumPy, pandas and polars.")
    parser.add_argument("folder", type=Path, nargs="?", help="with ours/, written by patchdex; gets theirs/")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-exchange")
    status = environment.run_again(__file__, REQUIREMENTS)
    if status is not None:
        return status
    if arguments.folder:
        theirs = arguments.folder / "theirs"
        theirs.mkdir()
        check_vectors(arguments.folder / "ours")
        check_patches(arguments.folder / "ours/patches.parquet")
        write_vectors(theirs)
        write_patches(theirs)
        write_benchmark(theirs)
    setup.say("ready", "NumPy, pandas, pyarrow, polars, h5py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
