#!/usr/bin/env python3
"""Holds tools/datasets/judged.py against ground truth made up here, in the files that ROxford and INSTRE come in.

`check_judged.py FOLDER` writes them in FOLDER and asserts what becomes of them; tests/datasets.rs runs it. Its
environment is that of check_measures.py.
"""

import argparse
import json
import os
import pickle
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
sys.path.insert(1, str(Path(__file__).resolve().parent / "datasets"))
import judged  # noqa: E402
import setup  # noqa: E402


def require(holds, what):
    if not holds:
        raise setup.Failure(f"{what} is wrong")


def refused(path, part):
    """Requires that the conversion of `path` fails with a message that holds `part`."""
    try:
        judged.converted(path)
    except setup.Failure as error:
        require(part in str(error), f"the message '{error}'")
    else:
        raise setup.Failure(f"nothing was said of '{part}'")


def check_roxford(folder):
    import numpy as np

    judgement = {"bbx": [136.5, 34.1, 648.5, 955.7], "easy": [1], "hard": np.array([0, 2]), "junk": []}
    truth = {"imlist": ["a", "b", "c"], "qimlist": ["all_souls_000013"], "gnd": [judgement]}
    path = folder / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps(truth, protocol=2))
    expected = {"bbx": [136.5, 34.1, 648.5, 955.7], "easy": [1], "hard": [0, 2], "junk": []}
    found = json.loads(json.dumps(judged.converted(path)))
    require(found == {**truth, "gnd": [expected]}, "ROxford")
    judgement["easy"] = [3]
    path.write_bytes(pickle.dumps(truth, protocol=2))
    refused(path, "names image 3 of 3")

    class Command:
        def __reduce__(self):
            return os.mkdir, (str(folder / "made"),)

    path.write_bytes(pickle.dumps(Command()))
    refused(path, "mkdir")
    require(not (folder / "made").exists(), "what a pickle may do")
    path.write_bytes(pickle.dumps(["imlist"]))
    refused(path, "imlist, qimlist and gnd")
    refused(folder / "none.pkl", "not there")


def check_instre(folder):
    import numpy as np
    from scipy.io import savemat

    names = ["INSTRE-S1/01a_canada_book/001.jpg", "INSTRE-S1/01a_canada_book/002.jpg", "INSTRE-M/01/001.jpg"]
    queries = ["INSTRE-S1/01a_canada_book/003.jpg", "INSTRE-S1/01b_stamp/001.jpg", "INSTRE-M/01/002.jpg"]
    for name, text in [(names[0], "1 2 3 4\n"), (names[2], "5 6 7 8\n10 4 20 5\n")]:
        file = (folder / name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    gnd = np.zeros((1, 3), dtype=[("ok", object), ("bbx", object)])
    for place, ok in enumerate(([1, 2, 3], [3], [3])):
        gnd[0, place] = np.array([ok], dtype=np.uint16), np.array([[11, 12, 13, 14]], dtype=np.uint16)
    cells = {"imlist": np.array(names, dtype=object)[None], "qimlist": np.array(queries, dtype=object)[None]}
    path = folder / "gnd_instre.mat"
    savemat(path, {**cells, "gnd": gnd})
    found = judged.converted(path)
    require(found["imlist"] == names and found["qimlist"] == queries, "INSTRE's lists")
    require([one["ok"] for one in found["gnd"]] == [[0, 1, 2], [2], [2]], "a place of INSTRE")
    require(found["gnd"][0]["bbx"] == [11, 12, 13, 14], "a box of a query of INSTRE")
    boxes = [one["boxes"] for one in found["gnd"]]
    require(boxes == [[[1, 2, 3, 4], None, [5, 6, 7, 8]], [[10, 4, 20, 5]], [[5, 4, 25, 10]]], "a box of INSTRE")
    (folder / names[0]).with_suffix(".txt").write_text("1 2 3\n")
    refused(path, "x y width height")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold the converter of ground truth against made-up files.")
    parser.add_argument("folder", type=Path, help="an empty folder, which gets them")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-measures")
    status = environment.run_again(__file__, judged.REQUIREMENTS, (3, 11))
    if status is None:
        check_roxford(arguments.folder.absolute())
        check_instre(arguments.folder.absolute())
        setup.say("ready", "ROxford, INSTRE")
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
