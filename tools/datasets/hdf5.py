#!/usr/bin/env python3
"""Converts a file of ann-benchmarks (HDF5: train, test, attribute distance) for patchdex bench ann.

Writes base.npy and queries.npy, in single precision, into --out; patchdex finds the true neighbours itself. It searches
by cosine: files of distance angular are taken, and those of distance euclidean whose rows are all of one length, where
both mean the same. Fetches its environment (requirements-exchange.txt) into the cache.
"""

import argparse
import contextlib
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import setup  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-exchange.txt"
PARTS = {"train": "base.npy", "test": "queries.npy"}
ROWS_AT_ONCE = 10_000
SAME_LENGTH = 1e-3  # what lengths may differ by, as a share


@contextlib.contextmanager
def opened(path):
    """The distance and the two tables of a file."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "it is not there" if not path.exists() else "it is not an HDF5 file, or not all of one"
        raise setup.Failure(f"cannot read {path}: {reason}") from error
    with file:
        yield checked(file, path)


def checked(file, path):
    """What `opened` gives, if patchdex can search it."""
    import h5py

    distance = file.attrs.get("distance")
    distance = distance.decode() if isinstance(distance, bytes) else distance
    tables = [file.get(name) for name in PARTS]
    if distance is None or not all(isinstance(table, h5py.Dataset) for table in tables):
        raise setup.Failure(f"{path}: no file of ann-benchmarks, which has train, test, and an attribute distance")
    shapes = ", ".join(f"{name} {table.shape} {table.dtype}" for name, table in zip(PARTS, tables))
    if any(table.ndim != 2 or table.dtype.kind not in "fiu" for table in tables):
        raise setup.Failure(f"{path}: {shapes}; vectors of numbers are needed, not sets or bits")
    if tables[0].shape[1] != tables[1].shape[1] or 0 in tables[0].shape + tables[1].shape:
        raise setup.Failure(f"{path}: {shapes}; both need rows, all equally long")
    if distance not in ("angular", "euclidean"):
        raise setup.Failure(
            f"{path}: distance {distance!r} is none of patchdex's; angular is, and euclidean of unit rows"
        )
    return distance, tables


def copy(table, out):
    """Writes a table as single-precision .npy, some rows at a time; gives the least and the greatest length."""
    import numpy as np

    target = np.lib.format.open_memmap(out, mode="w+", dtype=np.float32, shape=table.shape)
    least, most = np.inf, 0.0
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = np.asarray(table[start : start + ROWS_AT_ONCE], dtype=np.float32)
        lengths = np.linalg.norm(rows, axis=1)
        if not np.isfinite(lengths).all():
            raise setup.Failure(f"{table.file.filename}: a row from {start} on has numbers that are not finite")
        least, most = min(least, lengths.min()), max(most, lengths.max())
        target[start : start + len(rows)] = rows
    target.flush()
    return least, most


def convert(path, out):
    """Converts the file `path` into the folder `out`."""
    with opened(path) as (distance, tables):
        out.mkdir(parents=True, exist_ok=True)
        for name, table in zip(PARTS.values(), tables):
            with setup.replacing(out / name) as temporary:
                least, most = copy(table, temporary)
                # How long a query is changes nothing about the order of its neighbours.
                if distance == "euclidean" and name == "base.npy" and most - least > SAME_LENGTH * most:
                    raise setup.Failure(
                        f"{path}: distance euclidean, and rows of lengths {least:.3g} to {most:.3g}; patchdex searches "
                        "by cosine, which finds others"
                    )
            setup.say("written", f"{out / name}: {table.shape[0]:,} rows of {table.shape[1]} numbers")


@setup.told("run this again")
def main():
    parser = argparse.ArgumentParser(description="Convert a file of ann-benchmarks for patchdex bench ann.")
    parser.add_argument("file", type=Path, metavar="FILE.hdf5", help="with train, test and an attribute distance")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets base.npy and queries.npy")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-exchange")
    status = environment.run_again(__file__, REQUIREMENTS)
    if status is None:
        convert(arguments.file, arguments.out)
        base, queries = (arguments.out / name for name in PARTS.values())
        setup.say("next", f"patchdex bench ann --data {base} --queries {queries}")
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
