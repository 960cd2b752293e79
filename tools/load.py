#!/usr/bin/env python3
"""Latencies of `patchdex serve` under load.

`load.py COLLECTION` starts a server of the collection on a free port of this machine and asks by its images: first one
after the other, beside the command line; then as many at a time as the server has sessions, which is its capacity; then
at half, the whole and twice the capacity without waiting for answers (an open loop, as many clients make one): a latency
counts from the moment when a request was due, so that a server which falls behind shows it. `--soak` asks at half the
capacity for long and tells of the memory each minute; `--idle` holds connections that say nothing all the while. Uses the
standard library only.
"""

import argparse
import concurrent.futures
import http.client
import itertools
import json
import random
import resource
import shlex
import socket
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import check_api  # noqa: E402
import setup  # noqa: E402

CLIENTS = 128  # requests at the same time at most


def ask(host, body, content_type):
    """Sends a search; gives its status and its body."""
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.request("POST", "/v1/search", body, {"content-type": content_type})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def indexed(host):
    """Searches by the images of the collection, one after the other for ever."""
    connection = http.client.HTTPConnection(host, timeout=120)
    connection.request("GET", "/v1/images?limit=1000")
    images = json.loads(connection.getresponse().read())["images"]
    asked = [json.dumps({"image": image["id"], "top": 10}).encode() for image in images]
    return itertools.cycle([(body, "application/json") for body in asked])


def pictured(file):
    """Searches by a picture, for ever."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="image"; filename="{file.name}"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return itertools.repeat((body, f"multipart/form-data; boundary={boundary}"))


def measured(host, searches, rate, seconds, seed):
    """Asks at a rate for so long; gives the statuses and the latencies of what was answered, in seconds."""
    draw = random.Random(seed)
    due, times = 0.0, []
    while (due := due + draw.expovariate(rate)) < seconds:
        times.append(due)
    start = time.perf_counter()

    def one(due, body, content_type):
        status, _ = ask(host, body, content_type)
        return status, time.perf_counter() - start - due

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        running = []
        for due, (body, content_type) in zip(times, searches):
            time.sleep(max(0.0, start + due - time.perf_counter()))
            running.append(clients.submit(one, due, body, content_type))
        done = [request.result() for request in running]
    return [status for status, _ in done], sorted(latency for status, latency in done if status == 200)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3 if ordered else float("nan")


def stage_times(answer):
    """Milliseconds of search and re-ranking in an answer."""
    times = json.loads(answer)["timing_ms"]
    return times["search"] + times["rerank"]


def beside_the_command_line(binary, collection, host, count):
    """Median milliseconds of search and re-ranking of images of the collection, in the service and in the program."""
    served, run = [], []
    for body, content_type in itertools.islice(indexed(host), count):
        image = json.loads(body)["image"]
        command = [binary, "query", collection, "--indexed", image, "--top", "10", "--json"]
        run.append(stage_times(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        served.append(stage_times(ask(host, body, content_type)[1]))
    return statistics.median(served), statistics.median(run)


def capacity(host, searches, clients, seconds):
    """Answers a second where so many clients ask without a pause."""
    end = time.perf_counter() + seconds

    def one(_):
        done = 0
        while time.perf_counter() < end:
            status, _ = ask(host, *next(searches))
            done += status == 200
        return done

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(one, range(clients)))
    return done / (time.perf_counter() - start)


def resident_mb(pid):
    """Resident memory of a process that is no file's, in MB: what is mapped is the system's to keep or drop."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def table(host, pid, searches, rates, seconds, seed):
    """Asks at several rates and prints a line for each."""
    print("  rate  answered  refused  failed    mean ms     p50     p95     p99     MB")
    for rate in rates:
        statuses, latencies = measured(host, searches, rate, seconds, seed)
        refused = statuses.count(503)
        failed = len(statuses) - len(latencies) - refused
        mean = statistics.fmean(latencies) * 1e3 if latencies else float("nan")
        ends = [percentile(latencies, share) for share in (0.5, 0.95, 0.99)]
        counts = f"{rate:6.2f} {len(latencies):9} {refused:8} {failed:7}"
        print(counts, f"{mean:10.1f}", *(f"{end:7.1f}" for end in ends), f"{resident_mb(pid):6.0f}", flush=True)


def idle_connections(host, count):
    """Connections that say nothing; the system's limit of open files bounds them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name, port = host.split(":")
    held = []
    for number in range(count):
        # Local addresses differ, so that ports are not used up.
        held.append(socket.create_connection((name, int(port)), source_address=(f"127.0.0.{2 + number // 20000}", 0)))
    return held


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Latencies of patchdex serve under load.")
    parser.add_argument("collection", type=Path)
    parser.add_argument("--binary", type=Path, default=check_api.BINARY, metavar="FILE", help="instead of %(default)s")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="ask by a picture, which the model embeds")
    parser.add_argument("--rates", metavar="N,...", help="requests a second (half, the whole and twice the capacity)")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="of each rate (%(default)s)")
    parser.add_argument("--sessions", type=int, default=2, metavar="N", help="of the server (%(default)s)")
    parser.add_argument("--soak", type=int, default=0, metavar="MINUTES", help="afterwards, at half the capacity")
    parser.add_argument("--idle", type=int, default=0, metavar="N", help="connections that say nothing")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the arrivals (%(default)s)")
    parser.add_argument("--serve", default="", metavar="OPTIONS", help="more of patchdex serve: '--queue 8'")
    arguments = parser.parse_args()
    options = ["--sessions", str(arguments.sessions), *shlex.split(arguments.serve)]
    with check_api.served(arguments.binary, arguments.collection, *options) as (address, pid):
        host = address.removeprefix("http://")
        held = idle_connections(host, arguments.idle)
        if held:
            print(f"{len(held)} idle connections: {resident_mb(pid):.0f} MB", flush=True)
        searches = pictured(arguments.picture) if arguments.picture else indexed(host)
        for _ in range(3):  # what is loaded with the first requests is not measured
            ask(host, *next(searches))
        if not arguments.picture:
            served, run = beside_the_command_line(arguments.binary, arguments.collection, host, 20)
            print(f"search and re-ranking: service {served:.1f} ms, command line {run:.1f} ms (medians of 20)")
        most = capacity(host, searches, arguments.sessions, arguments.seconds)
        print(f"capacity: {most:.2f} answers/s with {arguments.sessions} clients at a time", flush=True)
        rates = [float(rate) for rate in arguments.rates.split(",")] if arguments.rates else [most / 2, most, 2 * most]
        table(host, pid, searches, rates, arguments.seconds, arguments.seed)
        if arguments.soak:
            print(f"soak at {most / 2:.2f} requests/s, a line a minute")
            table(host, pid, searches, [most / 2] * arguments.soak, 60, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
