#!/usr/bin/env python3
"""Holds patchdex's measures against other people's: scikit-learn, pycocotools, and what revisitop and DAVIS compute.

`check_measures.py FILE` reads cases and patchdex's figures, which tests/measures.rs wrote, and asserts that each figure
is what the others make of the case, to 1e-6. Without FILE it only fetches its environment (requirements-measures.txt,
Python 3.11 or later) into the cache.
"""

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

CLOSE = 1e-6
JUNK = -1


def near(found, expected, what):
    if abs(found - expected) > CLOSE:
        raise setup.Failure(f"{what} is {found}, {expected} elsewhere")


def trapezoidal(places, positives):
    """Average precision as the Oxford and Paris benchmarks have it: the area under straight lines between points."""
    total = 0.0
    for before, place in enumerate(places):
        left = 1.0 if place == 0 else before / place
        total += (left + (before + 1) / (place + 1)) / 2
    return total / positives


def check_rankings(cases):
    import numpy as np
    from sklearn.metrics import average_precision_score

    for number, case in enumerate(cases):
        # Places without junk, as revisitop shifts them.
        counted = [relevance for relevance in case["relevance"] if relevance != JUNK]
        places = [place for place, relevance in enumerate(counted) if relevance == 1]
        positives, figures = case["positives"], case["figures"]
        near(figures["trapezoidal"], trapezoidal(places, positives), f"trapezoidal AP of ranking {number}")
        # Right images that were not found count as never found.
        share = len(places) / positives
        expected = share * average_precision_score(counted, -np.arange(len(counted))) if places else 0.0
        near(figures["rectangular"], expected, f"rectangular AP of ranking {number}")
        for k, found in figures["recall"].items():
            near(found, sum(counted[: int(k)]) / positives, f"recall at {k} of ranking {number}")


def check_boxes(cases):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for number, case in enumerate(cases):
        images = sorted({image for image, *_ in case["truth"] + case["hits"]})
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": image, "width": 1000, "height": 1000} for image in images],
            "categories": [{"id": 1, "name": "it"}],
            "annotations": [
                {"id": at, "image_id": image, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for at, (image, *box) in enumerate(case["truth"], 1)
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            found = truth.loadRes(
                [
                    {"image_id": image, "category_id": 1, "bbox": box, "score": 1 - rank / 1000}
                    for rank, (image, *box) in enumerate(case["hits"])
                ]
            )
            judge = COCOeval(truth, found, "bbox")
            judge.params.maxDets = [1000]
            judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
            judge.params.iouThrs = [float(iou) for iou in case["figures"]]
            judge.evaluate()
            judge.accumulate()
        for at, (iou, figure) in enumerate(case["figures"].items()):
            near(figure, judge.eval["precision"][at, :, 0, 0, 0].mean(), f"AP at IoU {iou} of case {number}")


def check_confusions(cases):
    import numpy as np
    from sklearn.metrics import accuracy_score, jaccard_score

    for number, case in enumerate(cases):
        truth, predicted = np.array(case["truth"]), np.array(case["predicted"])
        counts = truth != case["ignored"]
        truth, predicted = truth[counts], predicted[counts]
        labels = np.union1d(truth, predicted)
        expected = jaccard_score(truth, predicted, labels=labels, average="macro")
        near(case["figures"]["mean_iou"], expected, f"mean IoU of case {number}")
        near(case["figures"]["accuracy"], accuracy_score(truth, predicted), f"accuracy of case {number}")


def contour(region):
    """The contour of a region, as DAVIS's seg2bmap finds it."""
    import numpy as np

    right, below, both = (np.zeros_like(region) for _ in range(3))
    right[:, :-1], below[:-1], both[:-1, :-1] = region[:, 1:], region[1:], region[1:, 1:]
    found = region ^ right | region ^ below | region ^ both
    found[-1] = region[-1] ^ right[-1]
    found[:, -1] = region[:, -1] ^ below[:, -1]
    found[-1, -1] = False
    return found


def check_regions(cases):
    """J and F as DAVIS's own evaluation has them."""
    import numpy as np
    from scipy.ndimage import binary_dilation

    for number, case in enumerate(cases):
        found, truth = (np.array(case[name], bool).reshape(-1, case["width"]) for name in ("found", "truth"))
        union = (found | truth).sum()
        near(case["figures"]["jaccard"], (found & truth).sum() / union if union else 1, f"J of regions {number}")
        radius = int(np.ceil(0.008 * np.linalg.norm(found.shape)))
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        disk = x**2 + y**2 <= radius**2
        ours, theirs = contour(found), contour(truth)
        counts = ours.sum(), theirs.sum()
        shares = 1.0, 1.0
        if not counts[0] and counts[1]:
            shares = 1.0, 0.0
        elif counts[0] and not counts[1]:
            shares = 0.0, 1.0
        elif all(counts):
            matched = ours & binary_dilation(theirs, disk), theirs & binary_dilation(ours, disk)
            shares = [part.sum() / count for part, count in zip(matched, counts)]
        expected = 2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0
        near(case["figures"]["contour"], expected, f"F of regions {number}")


def check_neighbours(cases):
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    metrics = {"cosine": "cosine", "l2": "euclidean"}
    for case in cases:
        rows, queries = np.array(case["rows"]), np.array(case["queries"])
        k = len(case["found"][0])
        if case["metric"] in metrics:
            search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metrics[case["metric"]])
            expected = search.fit(rows).kneighbors(queries, return_distance=False)
        else:
            expected = np.argsort(-(queries @ rows.T), axis=1, kind="stable")[:, :k]
        if not np.array_equal(expected, case["found"]):
            raise setup.Failure(f"the nearest by {case['metric']} are others elsewhere")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold patchdex's measures against other people's.")
    parser.add_argument("file", type=Path, nargs="?", help="cases that tests/measures.rs wrote")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-measures")
    again = environment.run_again(__file__, setup.HERE / "requirements-measures.txt", least=(3, 11))
    if again is not None:
        return again
    if arguments.file is None:
        setup.say("ready", "venv-measures")
        return 0
    cases = json.loads(arguments.file.read_text())
    check_rankings(cases["rankings"])
    check_boxes(cases["boxes"])
    check_confusions(cases["confusions"])
    check_regions(cases["regions"])
    check_neighbours(cases["neighbours"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
