#!/usr/bin/env python3
"""Measures patchdex beside hnswlib, faiss, usearch and voyager: the same vectors, cores, M, efConstruction and k.

Sets of vectors go by name: those of tools/datasets/tokens (video, photographs, and raw- before either) and made-up ones
(clustered-384, clustered-768, uniform-384). In each round everybody in turn builds, is asked with rising effort by one
thread and by several, is saved and opened; so whatever else the machine does meets all of them. Peers get the rows in
shuffled order and all queries in one call, so that Python costs them nothing. The exact index has the one of faiss
beside it. The table holds ratios within a round: above 1, patchdex is ahead. Fetches its own environment
(requirements-peers.txt, Python 3.11 or later, a C++ compiler) into the cache. hnsw_rs, a crate, takes part with
--with-hnsw-rs; it builds slowly, and --rows makes it less.

Not quite alike: patchdex judges its recall by its own half-precision vectors, the others are judged by the same vectors
in single precision; and opening patchdex's index maps no vectors, which lie in the collection.
"""

import argparse
import datetime
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-peers.txt"
RESULTS = setup.HERE.parent / "benches/results"
OURS = "patchdex"
M, EF_CONSTRUCTION, K = 16, 200, 10
EFS = (10, 16, 24, 40, 64, 100, 160, 250, 400, 700)
FEW_EFS = (5, 7)  # below K, where patchdex searches less and the others as if asked for K
RECALLS = (0.90, 0.95, 0.99)
TIE = 1e-6
TOKENS = ("video", "photographs", "raw-video", "raw-photographs")
# Rows, numbers in each, clusters (where there are none rows lie in all directions alike), queries
MADE_UP = {
    "clustered-384": (200_000, 384, 2_000, 1_000),
    "clustered-768": (100_000, 768, 1_000, 1_000),
    "uniform-384": (100_000, 384, 0, 1_000),
}
SETS = (*TOKENS, *MADE_UP)
QUICK_ROWS, QUICK_QUERIES = 10_000, 200
INTRINSIC = 16  # dimensions in which the rows of a cluster differ
BATCH = 64  # queries whose similarities with all rows are in memory
WARM_UP_QUERIES = 16
EXACT_QUERIES = 200  # as many as patchdex bench ann asks an exact index
LEAST_S = 0.1  # what takes less is timed badly


class Faiss:
    """Graphs of faiss; one over bytes looks again at the vectors of its best, half as many as ef."""

    def __init__(self, dim, kind):
        import faiss

        self.faiss = faiss
        if kind == "flat":
            self.index = self.graph = faiss.IndexHNSWFlat(dim, M, faiss.METRIC_INNER_PRODUCT)
        else:
            quantiser = faiss.ScalarQuantizer.QT_8bit
            self.graph = faiss.IndexHNSWSQ(dim, quantiser, M, faiss.METRIC_INNER_PRODUCT)
            self.index = faiss.IndexRefineFlat(self.graph)
        self.graph.hnsw.efConstruction = EF_CONSTRUCTION

    def build(self, rows, threads):
        self.faiss.omp_set_num_threads(threads)
        if not self.index.is_trained:
            self.index.train(rows)
        self.index.add(rows)

    def search(self, queries, ef, threads):
        self.faiss.omp_set_num_threads(threads)
        self.graph.hnsw.efSearch = ef
        if self.index is not self.graph:
            self.index.k_factor = max(ef / 2 / K, 1)
        return self.index.search(queries, K)[1]

    def save(self, path):
        self.faiss.write_index(self.index, str(path))

    def open(self, path, query):
        self.faiss.read_index(str(path), self.faiss.IO_FLAG_MMAP_IFC).search(query, K)


class Hnswlib:
    def __init__(self, dim, _):
        import hnswlib

        self.library, self.dim = hnswlib, dim

    def build(self, rows, threads):
        self.index = self.library.Index(space="ip", dim=self.dim)
        self.index.init_index(max_elements=len(rows), ef_construction=EF_CONSTRUCTION, M=M)
        self.index.add_items(rows, num_threads=threads)

    def search(self, queries, ef, threads):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=K, num_threads=threads)[0]

    def save(self, path):
        self.index.save_index(str(path))

    def open(self, path, query):
        index = self.library.Index(space="ip", dim=self.dim)
        index.load_index(str(path))
        index.knn_query(query, k=K, num_threads=1)


class Usearch:
    def __init__(self, dim, kind):
        from usearch.index import Index

        self.library = Index
        self.index = Index(ndim=dim, metric="ip", dtype=kind, connectivity=M, expansion_add=EF_CONSTRUCTION)

    def build(self, rows, threads):
        import numpy as np

        self.index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=threads)

    def search(self, queries, ef, threads):
        self.index.expansion_search = ef
        return self.index.search(queries, K, threads=threads).keys

    def save(self, path):
        self.index.save(str(path))

    def open(self, path, query):
        self.library.restore(str(path), view=True).search(query, K, threads=1)


class Voyager:
    def __init__(self, dim, _):
        import voyager

        self.library, self.dim = voyager, dim

    def build(self, rows, threads):
        space = self.library.Space.InnerProduct
        options = {"M": M, "ef_construction": EF_CONSTRUCTION, "max_elements": len(rows)}
        self.index = self.library.Index(space, num_dimensions=self.dim, **options)
        self.index.add_items(rows, num_threads=threads)

    def search(self, queries, ef, threads):
        return self.index.query(queries, k=K, num_threads=threads, query_ef=ef)[0]

    def save(self, path):
        self.index.save(str(path))

    def open(self, path, query):
        self.library.Index.load(str(path)).query(query, k=K, num_threads=1)


PEERS = {
    "faiss HNSW": (Faiss, "flat"),
    "faiss HNSW SQ8 + refine": (Faiss, "sq8"),
    "hnswlib": (Hnswlib, None),
    "usearch f32": (Usearch, "f32"),
    "usearch bf16": (Usearch, "bf16"),
    "voyager": (Voyager, None),
}
HNSW_RS = "hnsw_rs"
FLAT = "faiss Flat"


class Data:
    """Rows and queries of unit length, and the true neighbours of the queries."""

    def __init__(self, base, queries, seed, most_rows):
        import numpy as np

        random = np.random.default_rng(seed)

        def unit(rows):
            rows = np.ascontiguousarray(rows, dtype=np.float32)
            return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)

        if base.ndim != 2 or queries.ndim != 2 or base.shape[1] != queries.shape[1]:
            raise setup.Failure(f"rows {base.shape} and queries {queries.shape} must be tables with equally long rows")
        if most_rows and most_rows < len(base):
            base = base[np.sort(random.permutation(len(base))[:most_rows])]
        if len(base) < K:
            raise setup.Failure(f"{len(base)} rows are too few for {K} neighbours")
        self.base, self.queries = unit(base), unit(queries)
        self.order = random.permutation(len(base))
        self.truth, self.bars = [], []
        for start in range(0, len(self.queries), BATCH):
            for similarity in self.queries[start : start + BATCH] @ self.base.T:
                best = np.argpartition(-similarity, K - 1)[:K]
                self.truth.append(set(best.tolist()))
                self.bars.append(float(similarity[best].min()) - TIE)

    def recall(self, found):
        """Strict recall of rows [queries, K]: what is in the truth or ties with its last, each row once."""
        hits = 0
        for query, rows, truth, bar in zip(self.queries, found.tolist(), self.truth, self.bars):
            hits += sum(row in truth or float(self.base[row] @ query) >= bar for row in set(rows) if row >= 0)
        return hits / (K * len(self.queries))


def made_up(shape, seed, is_quick):
    """Clusters of few dimensions in a space of many, as patch tokens are, in half precision; and queries of them."""
    import numpy as np

    rows, dim, clusters, queries = shape
    if is_quick:
        rows, clusters, queries = QUICK_ROWS, clusters and QUICK_ROWS // 50, QUICK_QUERIES
    random = np.random.default_rng(seed)
    if not clusters:
        every = random.standard_normal((rows + queries, dim), dtype=np.float32).astype(np.float16)
        return every[:rows], every[rows:]
    centres = random.standard_normal((clusters, dim), dtype=np.float32)
    # Directions that clusters share, as neighbouring things look alike in the same ways.
    directions = random.standard_normal((INTRINSIC, dim), dtype=np.float32) / math.sqrt(INTRINSIC)
    every = np.empty((rows + queries, dim), dtype=np.float16)
    for start in range(0, len(every), 10_000):
        part = every[start : start + 10_000]
        latent = random.standard_normal((len(part), INTRINSIC), dtype=np.float32)
        noise = random.standard_normal((len(part), dim), dtype=np.float32)
        part[:] = centres[random.integers(clusters, size=len(part))] + latent @ directions + 0.1 * noise
    return every[:rows], every[rows:]


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure_peer(name, data, threads, folder):
    library, kind = PEERS[name]
    peer = library(data.base.shape[1], kind)
    rows = data.base[data.order]
    build_s, _ = timed(lambda: peer.build(rows, max(threads)))
    del rows
    points = []
    for ef in EFS:
        for count in threads:
            peer.search(data.queries[:WARM_UP_QUERIES], ef, count)
            passes, seconds = 0, 0.0
            while seconds < LEAST_S:
                taken, found = timed(lambda: peer.search(data.queries, ef, count))
                passes, seconds = passes + 1, seconds + taken
            points.append({"ef": ef, "threads": count, "qps": passes * len(data.queries) / seconds})
            points[-1]["recall"] = data.recall(data.order[found.astype(int)])
    path = folder / "index"
    peer.save(path)
    query = data.queries[:1]
    open_ms = 1e3 * min(timed(lambda: peer.open(path, query))[0] for _ in range(3))
    size = path.stat().st_size
    path.unlink()
    return {"build_s": build_s, "bytes": size, "open_ms": open_ms, "points": points}


def measure_flat(data, threads):
    """The exact index of faiss, asked as patchdex bench ann asks: one thread query after query, more all together."""
    import faiss

    index = faiss.IndexFlatIP(data.base.shape[1])
    index.add(data.base)
    queries = data.queries[:EXACT_QUERIES]
    exact = {}
    for count in threads:
        faiss.omp_set_num_threads(count)
        batches = [queries] if count > 1 else [queries[at : at + 1] for at in range(len(queries))]
        index.search(queries[:WARM_UP_QUERIES], K)
        passes, seconds = 0, 0.0
        while seconds < LEAST_S:
            taken, _ = timed(lambda: [index.search(batch, K) for batch in batches])
            passes, seconds = passes + 1, seconds + taken
        exact[str(count)] = passes * len(queries) / seconds
    return {"exact": exact}


def measure_hnsw_rs(program, data, threads, folder):
    """One run of examples/hnsw_rs_peer.rs."""
    import numpy as np

    saved = folder / HNSW_RS
    saved.mkdir()
    files = {name: str(saved / name) for name in ("base", "queries", "found")}
    data.base[data.order].tofile(files["base"])
    data.queries.tofile(files["queries"])
    sizes = {"dim": data.base.shape[1], "m": M, "ef_construction": EF_CONSTRUCTION, "k": K}
    plan = {**files, **sizes, "folder": str(saved), "efs": EFS, "threads": threads}
    (saved / "plan.json").write_text(json.dumps(plan))
    done = subprocess.run([program, saved / "plan.json"], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise setup.Failure(f"{program}: {setup.last_line(done.stderr)}")
    result = json.loads(done.stdout)
    found = np.fromfile(files["found"], np.uint32).reshape(len(EFS), len(data.queries), K)
    shutil.rmtree(saved)
    # A row that was not found has the greatest number.
    placed = np.append(data.order, -1)
    recalls = {ef: data.recall(placed[np.minimum(rows, len(data.order))]) for ef, rows in zip(EFS, found)}
    for point in result["points"]:
        point["recall"] = recalls[point["ef"]]
    return result


def measure_ours(program, residency, threads, folder):
    """One run of patchdex, and what it says about the machine."""
    command = [program, "bench", "ann", "--data", folder / "base.npy", "--queries", folder / "queries.npy"]
    options = {
        "indexes": "exact,hnsw",
        "ef": ",".join(map(str, FEW_EFS + EFS)),
        "m": M,
        "ef-construction": EF_CONSTRUCTION,
        "k": K,
        "threads": ",".join(map(str, threads)),
        "rounds": 1,
        "residency": residency,
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run([*command, "--json"], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise setup.Failure(f"{program}: {setup.last_line(done.stderr)}")
    report = json.loads(done.stdout)
    points = [
        {"ef": p["params"]["ef"], "threads": p["threads"], "qps": p["qps"], "recall": p[f"recall_at_{K}"]}
        for p in report["points"]
        if p["index"] == "hnsw"
    ]
    exact = {str(p["threads"]): p["qps"] for p in report["points"] if p["index"] == "exact"}
    vectors = 2 * report["data"]["rows"] * report["data"]["dim"]
    result = {
        "build_s": report["build_s"]["hnsw"],
        "bytes": report["index_bytes"]["hnsw"] + vectors,
        "open_ms": report["open_ms"]["hnsw"],
        "points": points,
        "exact": exact,
    }
    return result, report["machine"]


def qps_at(result, recall, threads):
    """Queries a second at a recall: their logarithm lies on a line between the efs; None where it is not reached."""
    points = sorted((p["recall"], p["qps"]) for p in result.get("points", []) if p["threads"] == threads)
    front = [(r, qps) for r, qps in points if all(other <= qps for better, other in points if better > r)]
    above = [(r, qps) for r, qps in front if r >= recall]
    below = [(r, qps) for r, qps in front if r < recall]
    if not above:
        return None
    if not below:
        return above[0][1]
    (low, slow), (high, fast) = below[-1], above[0]
    share = (recall - low) / (high - low)
    return math.exp(math.log(slow) + share * (math.log(fast) - math.log(slow)))


def figures(result, threads):
    """Every measure of one result, the higher the better."""
    found = {}
    for count in threads:
        for recall in RECALLS:
            name = f"queries/s at recall {recall:.2f}, {count} thread{'s' if count > 1 else ''}"
            found[name] = qps_at(result, recall, count)
    if len(threads) > 1:
        one, many = (qps_at(result, RECALLS[1], count) for count in (threads[0], threads[-1]))
        name = f"{threads[-1]} threads over {threads[0]} at recall {RECALLS[1]:.2f}"
        found[name] = many / one if one and many else None
    costs = {"build": "build_s", "bytes, vectors among them": "bytes", "open to first answer": "open_ms"}
    found |= {name: 1 / result[cost] if cost in result else None for name, cost in costs.items()}
    for count in threads:
        how = "all together" if count > 1 else "one after another"
        name = f"exact queries/s, {how}, {count} thread{'s' if count > 1 else ''}"
        found[name] = result.get("exact", {}).get(str(count))
    return found


def ratios(rounds, threads, peers):
    """For each measure the best peer, the ratio to the best of each round, and the ratio to each peer."""
    table = {}
    every = [{name: figures(result, threads) for name, result in one.items()} for one in rounds]

    def spread(values):
        values = [value for value in values if value is not None]
        return {"median": statistics.median(values), "least": min(values), "most": max(values)} if values else None

    def ratio(ours, theirs):
        return ours / theirs if ours and theirs else None

    for measure in every[0][OURS]:
        of = {name: [one[name][measure] for one in every] for name in every[0]}
        best = [max(of[name][at] or 0 for name in peers) for at in range(len(every))]
        spreads = {name: spread(of[name]) for name in peers}
        known = {name: found["median"] for name, found in spreads.items() if found}
        table[measure] = {
            "best": max(known, key=known.get) if known else None,
            "ratio": spread(map(ratio, of[OURS], best)),
            "each": {name: spread(map(ratio, of[OURS], of[name])) for name in peers},
        }
    return table


def markdown(table, peers):
    lines = [["patchdex over", "best peer", "ratio (least to most)", *peers], ["---"] * (3 + len(peers))]
    for measure, row in table.items():
        each = [f"{row['each'][name]['median']:.2f}" if row["each"][name] else "-" for name in peers]
        ratio = "{median:.2f} ({least:.2f} to {most:.2f})".format(**row["ratio"]) if row["ratio"] else "-"
        lines.append([measure, row["best"] or "-", ratio, *each])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pin(threads):
    """Keeps this process and its children on so many cores, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < threads:
            raise setup.Failure(f"there are {len(cores)} cores for {threads} threads; give fewer --threads")
        os.sched_setaffinity(0, cores[:threads])


def load(path):
    import numpy as np

    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise setup.Failure(f"cannot read {path}: {error}") from error


def about_file(name, arguments):
    """What tools/datasets/tokens says of a set when all of it is there."""
    return arguments.cache / "datasets" / name / "about.json"


def vectors(name, arguments):
    """Rows and queries of a set, and where they come from."""
    if name in MADE_UP:
        return *made_up(MADE_UP[name], arguments.seed, arguments.quick), f"made up, seed {arguments.seed}"
    if name not in TOKENS:
        return load(arguments.data), load(arguments.queries), str(arguments.data)
    about = json.loads(about_file(name, arguments).read_text())
    folder = about_file(name, arguments).parent
    source = ", ".join(f"{key} {about[key]}" for key in ("every", "long_side") if key in about)
    return load(folder / "base.npy"), load(folder / "queries.npy"), f"tools/datasets/tokens {name} ({source})"


def measure(name, peers, arguments, threads):
    """All rounds over one set, and what patchdex says about the machine."""
    import numpy as np

    base, queries, source = vectors(name, arguments)
    if arguments.quick:
        queries = queries[:QUICK_QUERIES]
    data = Data(base, queries, arguments.seed, QUICK_ROWS if arguments.quick else arguments.rows)
    del base, queries
    rows, dim = data.base.shape
    shape = {"source": source, "rows": rows, "dim": dim, "queries": len(data.queries)}
    setup.say("data", f"{name}: {rows:,} x {dim}, {len(data.queries):,} queries, {source}")
    names, random = [OURS, *peers], Random(arguments.seed)
    rounds, machine = [], None
    with tempfile.TemporaryDirectory(prefix="patchdex-peers-") as folder:
        folder = Path(folder)
        np.save(folder / "base.npy", data.base)
        np.save(folder / "queries.npy", data.queries)
        for at in range(arguments.rounds):
            rounds.append({})
            for peer in random.sample(names, len(names)):
                if peer == OURS:
                    result, machine = measure_ours(arguments.program, arguments.residency, threads, folder)
                elif peer == FLAT:
                    result = measure_flat(data, threads)
                elif peer == HNSW_RS:
                    result = measure_hnsw_rs(arguments.with_hnsw_rs, data, threads, folder)
                else:
                    result = measure_peer(peer, data, threads, folder)
                rounds[-1][peer] = result
                setup.say(f"round {at + 1}", f"{peer}: {shown(result, threads)}")
    return {"data": shape, "ratios": ratios(rounds, threads, peers), "rounds": rounds}, machine


def shown(result, threads):
    """What is said of a result when it is there."""
    if "points" not in result:
        return ", ".join(f"{qps:,.0f} queries/s with {count} threads" for count, qps in result["exact"].items())
    qps = qps_at(result, RECALLS[1], threads[0])
    reached = f"{qps:,.0f} queries/s at recall {RECALLS[1]}" if qps else f"recall {RECALLS[1]} is not reached"
    return f"built in {result['build_s']:.1f} s, {reached}"


def rounded(value):
    """Numbers in as many digits as mean something: results are kept."""
    if isinstance(value, float):
        return round(value, 4) if abs(value) < 10 else round(value, 1)
    if isinstance(value, dict):
        return {key: rounded(held) for key, held in value.items()}
    return [rounded(held) for held in value] if isinstance(value, list) else value


def written(result):
    """The text of a result: one line for each point and ratio."""
    text = json.dumps(rounded(result), indent=1)
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda leaf: re.sub(r"\s*\n\s*", " ", leaf[0]), text) + "\n"


def run(arguments):
    import tomllib  # of Python 3.11
    from importlib.metadata import version

    threads = sorted(set(arguments.threads))
    pin(threads[-1])
    peers = [*PEERS, FLAT]
    versions = {package: version(package) for package in ("faiss-cpu", "hnswlib", "usearch", "voyager", "numpy")}
    if arguments.with_hnsw_rs:
        peers.append(HNSW_RS)
        locked = tomllib.loads((setup.HERE.parent / "Cargo.lock").read_text())["package"]
        versions |= {package["name"]: package["version"] for package in locked if package["name"] == HNSW_RS}
    missing = [name for name in arguments.sets if name in TOKENS and not about_file(name, arguments).is_file()]
    if missing:
        names = " ".join(missing)
        raise setup.Failure(f"no {' and no '.join(missing)} in the cache; run 'tools/datasets/tokens {names}'")
    sets, date = {}, datetime.date.today().isoformat()
    for name in arguments.sets:
        sets[name], machine = measure(name, peers, arguments, threads)
        result = {
            "date": date,
            "machine": {**machine, "cores_used": threads[-1]},
            "settings": {
                "m": M,
                "ef_construction": EF_CONSTRUCTION,
                "k": K,
                "ef": EFS,
                "threads": threads,
                "residency": arguments.residency,
            },
            "versions": versions,
            "sets": sets,
        }
        cpu = re.sub(r"[^a-z0-9]+", "-", machine["cpu"].lower()).strip("-")
        out = arguments.out or (None if arguments.quick else RESULTS / f"{date}-{cpu}.json")
        # After every set, so that a long run that is stopped leaves those that were finished.
        if out:
            setup.write_if_changed(out, written(result).encode())
            setup.say("written", str(out))
    for name, measured in sets.items():
        rows, dim = measured["data"]["rows"], measured["data"]["dim"]
        size = f"{rows:,} x {dim}, {machine['cpu']}, {threads[-1]} cores"
        print(f"\n{name}: {size}, rounds: {arguments.rounds}; above 1: ahead\n")
        print(markdown(measured["ratios"], peers))


def numbers(text):
    values = [int(value) for value in text.split(",")]
    if min(values) < 1:
        raise ValueError(text)
    return values


def set_names(text):
    names = list(dict.fromkeys(text.split(",")))
    unknown = sorted(set(names) - set(SETS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no such set: {', '.join(unknown)} (choose from {', '.join(SETS)})")
    return names


@setup.told("sets that were finished are written")
def main():
    parser = argparse.ArgumentParser(description="Measure patchdex beside hnswlib, faiss, usearch and voyager.")
    parser.add_argument("program", type=Path, help="the patchdex program, a release build")
    parser.add_argument(
        "--quick", action="store_true", help="few vectors of each set, to see whether all works; no file"
    )
    parser.add_argument(
        "--set",
        type=set_names,
        dest="sets",
        metavar="SETS",
        help=f"some of {','.join(SETS)}; clustered-384 unless given",
    )
    parser.add_argument("--data", type=Path, metavar="BASE.npy", help="rows instead of a set's")
    parser.add_argument("--queries", type=Path, metavar="Q.npy", help="queries that are not among the rows of --data")
    parser.add_argument("--rows", type=int, metavar="N", help="as many of the rows, chosen by --seed")
    parser.add_argument(
        "--with-hnsw-rs", type=Path, metavar="EXAMPLE", help="the crate hnsw_rs takes part; tools/peers adds EXAMPLE"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is measured (%(default)s)")
    parser.add_argument(
        "--residency",
        choices=("mapped", "locked", "copied"),
        default="mapped",
        help="how patchdex has its graph in memory (%(default)s); the peers have theirs copied",
    )
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="numbers of threads, 1,2 unless given")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the made-up rows, of --rows, and of the order of insertion"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"instead of {RESULTS.name}/DATE-CPU.json")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    if bool(arguments.data) != bool(arguments.queries):
        parser.error("--data and --queries go together")
    if arguments.data and arguments.sets:
        parser.error("--data and --set exclude each other")
    arguments.sets = arguments.sets or [arguments.data.stem if arguments.data else "clustered-384"]
    if arguments.rows is not None and arguments.rows < K:
        parser.error(f"--rows must be at least {K}")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not arguments.program.is_file():
        raise setup.Failure(f"{arguments.program} is missing; build it with 'cargo build --release'")
    arguments.program, arguments.cache = arguments.program.absolute(), arguments.cache.absolute()
    status = setup.Environment(arguments.cache / "venv-peers").run_again(__file__, REQUIREMENTS, (3, 11))
    if status is None:
        run(arguments)
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
