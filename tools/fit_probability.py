#!/usr/bin/env python3
"""Fits the odds by which patchdex turns scores into probabilities: ODDS in src/query/probability.rs.

Usage: fit_probability.py REPORT..., each written by `patchdex eval retrieve ... --top 200 --absent --json`. The null median
of a query is taken as the program takes it, from the hits of 200 images; what it is clamped to and drawn towards is read from
the source. Logistic regression over the first 20 images of each query with and without its object, weighted by one over the
square root of the rank, all reports together; and, to see how far it carries, for each report by the others. Needs NumPy.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).parent.parent / "src" / "query" / "probability.rs"
RANKS = 20
SHOWS_IOU = 0.3  # as eval retrieve judges probabilities
BINS = 10


def constant(name):
    """A pair of numbers of the source."""
    text = re.search(rf"const {name}: \(f32, f32\) = \(([^)]*)\)", SOURCE.read_text(encoding="utf-8"))[1]
    return tuple(float(number) for number in text.split(","))


def best_of_images(hits):
    """The best hit of each image, in order."""
    first = {}
    for hit in hits:
        first.setdefault(hit["image"], hit)
    return list(first.values())


def samples(report):
    """Rows of (1, how far the log score lies above the null median), whether each is right, and weights."""
    prior, medians = constant("PRIOR"), constant("MEDIANS")
    rows, right, weights = [], [], []
    for query in report["per_query"] + report["absent"]["per_query"]:
        hits = best_of_images(query["hits"])
        if not hits:
            continue
        scores = np.sort([hit["score"] for hit in hits])
        median = np.clip(scores[len(scores) // 2], *medians)
        null = (len(scores) * np.log(median) + prior[1] * np.log(prior[0])) / (len(scores) + prior[1])
        for rank, hit in enumerate(hits[:RANKS], start=1):
            rows.append((1.0, np.log(max(hit["score"], 1e-6)) - null))
            right.append(hit["iou"] is not None and hit["iou"] >= SHOWS_IOU)
            weights.append(rank**-0.5)
    return np.array(rows), np.array(right, dtype=float), np.array(weights)


def joined(parts):
    """Several samples as one."""
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def fitted(rows, right, weights):
    """Weights of greatest likelihood, by Newton's method."""
    odds = np.zeros(2)
    for _ in range(50):
        said = probability(rows, odds)
        slope = rows.T @ (weights * (said - right))
        curve = (rows * (weights * said * (1 - said))[:, None]).T @ rows
        odds -= np.linalg.solve(curve + 1e-6 * np.eye(2), slope)
    return odds


def probability(rows, odds):
    """What is said of each row."""
    return 1 / (1 + np.exp(-rows @ odds))


def calibration_error(said, right):
    """Expected calibration error in bins of equal width."""
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    return sum(abs((said - right)[bins == at].sum()) for at in range(BINS)) / len(said)


def main():
    """Fits and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    files = parser.parse_args().reports
    parts = [samples(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    odds = fitted(*joined(parts))
    print(f"ODDS: ({odds[0]:.2f}, {odds[1]:.2f}), in the source {constant('ODDS')}")
    for at, (file, (rows, right, _)) in enumerate(zip(files, parts, strict=True)):
        ways = {"the source's": constant("ODDS"), "these": odds}
        if len(parts) > 1:
            ways["the others'"] = fitted(*joined(parts[:at] + parts[at + 1 :]))
        errors = (f"{calibration_error(probability(rows, np.array(way)), right):.3f} by {name}" for name, way in ways.items())
        print(f"{file}: {len(right)} hits, calibration error {', '.join(errors)}")


if __name__ == "__main__":
    main()
