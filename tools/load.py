#!/usr/bin/env python3
"""Latencies of `patchdex serve` under load.

`load.py COLLECTION` starts a server of the collection on a free port of this machine and asks by its images, at several
rates that do not wait for answers (an open loop, as many clients make one): a latency counts from the moment when a
request was due, so that a server which falls behind shows it. Uses the standard library only.
"""

import argparse
import concurrent.futures
import http.client
import itertools
import json
import random
import shlex
import statistics
import sys
import time
import uuid
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import check_api  # noqa: E402
import setup  # noqa: E402

CLIENTS = 128  # requests at the same time at most


def ask(host, body, content_type):
    """Sends a search; gives its status."""
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.request("POST", "/v1/search", body, {"content-type": content_type})
        reply = connection.getresponse()
        reply.read()
        return reply.status
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
        status = ask(host, body, content_type)
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


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Latencies of patchdex serve under load.")
    parser.add_argument("collection", type=Path)
    parser.add_argument("--binary", type=Path, default=check_api.BINARY, metavar="FILE", help="instead of %(default)s")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="ask by a picture, which the model embeds")
    parser.add_argument("--rates", default="1,2,5,10", metavar="N,...", help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="of each rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the arrivals (%(default)s)")
    parser.add_argument("--serve", default="", metavar="OPTIONS", help="of patchdex serve: '--sessions 1 --queue 8'")
    arguments = parser.parse_args()
    with check_api.served(arguments.binary, arguments.collection, *shlex.split(arguments.serve)) as address:
        host = address.removeprefix("http://")
        searches = pictured(arguments.picture) if arguments.picture else indexed(host)
        for _ in range(3):  # what is loaded with the first requests is not measured
            ask(host, *next(searches))
        print("  rate  answered  refused  failed    mean ms     p50     p95     p99")
        for rate in map(float, arguments.rates.split(",")):
            statuses, latencies = measured(host, searches, rate, arguments.seconds, arguments.seed)
            refused = statuses.count(503)
            failed = len(statuses) - len(latencies) - refused
            mean = statistics.fmean(latencies) * 1e3 if latencies else float("nan")
            ends = [percentile(latencies, share) for share in (0.5, 0.95, 0.99)]
            counts = f"{rate:6g} {len(latencies):9} {refused:8} {failed:7}"
            print(counts, f"{mean:10.1f}", *(f"{end:7.1f}" for end in ends), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
