#!/usr/bin/env python3
"""Converts the ground truth of ROxford, RParis or INSTRE for patchdex eval retrieve --gallery.

Reads gnd_roxford5k.pkl, gnd_rparis6k.pkl, or gnd_instre.mat (or another .mat with imlist, qimlist and gnd) and writes
NAME.json beside it: imlist, qimlist, and for each query its box (left, top, right, bottom) and places in imlist, from 0.
INSTRE has a text beside each image with the boxes in it (x y width height): those of what is right are written too. A
pickle is read without running what it names. Fetches its environment (requirements-measures.txt) into the cache.
"""

import argparse
import json
import pickle
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import setup  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-measures.txt"
LISTS = "ok", "easy", "hard", "junk"
# What a pickle of lists and arrays of numbers names.
HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}


class Plain(pickle.Unpickler):
    """Reads lists, texts, numbers and arrays, and nothing that could do anything."""

    def find_class(self, module, name):
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which ground truth needs not")
        return super().find_class(module, name)


def read_pickle(path):
    try:
        with path.open("rb") as file:
            truth = Plain(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError) as error:
        raise setup.Failure(f"{path}: no pickle of ground truth: {error}") from error
    if not isinstance(truth, dict) or not {"imlist", "qimlist", "gnd"} <= truth.keys():
        raise setup.Failure(f"{path}: no ground truth, which has imlist, qimlist and gnd")
    return truth


def read_matlab(path):
    """What `read_pickle` gives; places count from 1 in MATLAB."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, squeeze_me=True, struct_as_record=True)
        names = {key: [str(name) for name in content[key].tolist()] for key in ("imlist", "qimlist")}
        judged = content["gnd"].reshape(-1)
        fields = judged.dtype.names
        gnd = [{field: judgement[field] for field in fields} for judgement in judged]
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise setup.Failure(f"{path}: no ground truth, which has imlist, qimlist and gnd: {error}") from error
    for judgement in gnd:
        judgement.update({key: [place - 1 for place in numbers(judgement[key])] for key in LISTS if key in fields})
    return {**names, "gnd": gnd}


def numbers(values):
    """A list of the numbers in a list, an array, or one number."""
    import numpy as np

    return np.asarray(values).reshape(-1).tolist()


def box_beside(folder, name, query):
    """The box of what `query` shows in the image `name`, out of the text beside that; none where there is no text.

    An image of INSTRE-M shows two things: the first line is the one whose class in INSTRE-S1 ends in a, the second that
    in b. To a query of INSTRE-M both are meant: the box is around them.
    """
    file = (folder / name).with_suffix(".txt")
    if not file.is_file():
        return None
    try:
        boxes = [[float(number) for number in line.split()] for line in file.read_text().splitlines() if line.strip()]
        if not boxes or any(len(box) != 4 for box in boxes):
            raise ValueError("a line holds x y width height")
    except ValueError as error:
        raise setup.Failure(f"{file}: {error}") from error
    letter = re.match(r"INSTRE-S1/\d+([ab])", query, re.IGNORECASE)
    if len(boxes) == 2 and letter:
        return boxes["ab".index(letter[1].lower())]
    left, top = (min(box[axis] for box in boxes) for axis in (0, 1))
    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    return [left, top, right - left, bottom - top]


def converted(path):
    """The ground truth of `path` as patchdex reads it."""
    if not path.is_file():
        raise setup.Failure(f"{path}: it is not there; give gnd_roxford5k.pkl, gnd_rparis6k.pkl or gnd_instre.mat")
    truth = read_matlab(path) if path.suffix == ".mat" else read_pickle(path)
    names, queries = list(truth["imlist"]), list(truth["qimlist"])
    if len(truth["gnd"]) != len(queries):
        raise setup.Failure(f"{path}: gnd has {len(truth['gnd'])} entries, qimlist {len(queries)}")
    gnd = []
    for number, (query, judgement) in enumerate(zip(queries, truth["gnd"])):
        box = [float(side) for side in numbers(judgement["bbx"])] if "bbx" in judgement else []
        if len(box) != 4:
            raise setup.Failure(f"{path}: query {number}, {query}, has the box {box}; four numbers are wanted")
        lists = {key: [int(place) for place in numbers(judgement[key])] for key in LISTS if key in judgement}
        wrong = [place for places in lists.values() for place in places if not 0 <= place < len(names)]
        if wrong:
            raise setup.Failure(f"{path}: query {number}, {query}, names image {wrong[0]} of {len(names)}")
        boxes = [box_beside(path.parent, names[place], query) for place in lists.get("ok", [])]
        known = {"boxes": boxes} if any(boxes) else {}
        gnd.append({"bbx": box, **lists, **known})
    return {"imlist": names, "qimlist": queries, "gnd": gnd}


@setup.told("run this again")
def main():
    parser = argparse.ArgumentParser(description="Convert ground truth for patchdex eval retrieve.")
    parser.add_argument("file", type=Path, metavar="FILE", help="gnd_roxford5k.pkl, gnd_rparis6k.pkl, gnd_instre.mat")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-measures")
    status = environment.run_again(__file__, REQUIREMENTS, (3, 11))
    if status is None:
        truth = converted(arguments.file)
        out = arguments.file.with_suffix(".json")
        with setup.replacing(out) as temporary:
            temporary.write_text(json.dumps(truth) + "\n")
        setup.say("written", f"{out}: {len(truth['qimlist']):,} queries, {len(truth['imlist']):,} images")
        setup.say("next", f"patchdex eval retrieve COLLECTION --gallery {out}")
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
