#!/usr/bin/env python3
"""Holds `patchdex serve` against its own description: Schemathesis makes requests of /openapi.json, sound and unsound,
and looks at the answers.

`check_api.py COLLECTION` starts a server of the collection on a free port and fails where an answer is not as
described, where a request that the description forbids is accepted, or where the service fails. What it makes is
seeded. tests/serve/api.rs runs it with few requests. It fetches its environment (requirements-api.txt, Python 3.10 or later) into the cache.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

BINARY = setup.HERE.parent / "target/release/patchdex"
REQUIREMENTS = setup.HERE / "requirements-api.txt"
# A description can say neither that a condition makes sense nor that a box lies in a picture: sound requests may be
# refused. A batch tells of an unsound search among its answers.
SETTINGS = """
[parameters]
"path.id" = {ids}

[checks]
positive_data_acceptance.enabled = false

[[operations]]
include-path = "/v1/search/batch"

[operations.checks]
negative_data_rejection.enabled = false
"""


@contextlib.contextmanager
def served(binary, collection, *options):
    """Address and process id of a server of a collection, which ends with the block."""
    command = [binary, "serve", f"photos={collection}", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            line = server.stdout.readline()
            if not line.startswith("listening on "):
                raise setup.Failure(f"{' '.join(map(str, command))} does not serve; run it by hand to see why")
            yield line.removeprefix("listening on ").strip(), server.pid
        finally:
            server.terminate()


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold patchdex serve against its own description.")
    parser.add_argument("collection", type=Path, nargs="?", help="a small one; none: only fetch the environment")
    parser.add_argument("--binary", type=Path, default=BINARY, metavar="FILE", help="instead of %(default)s")
    parser.add_argument(
        "--writable", action="store_true", help="also ask for changes: images come into the collection's folder, and go"
    )
    parser.add_argument("--examples", type=int, default=50, metavar="N", help="requests of each route (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the requests (%(default)s)")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-api")
    status = environment.run_again(__file__, REQUIREMENTS, (3, 10))
    if status is not None:
        return status
    if arguments.collection is None:
        setup.say("ready", "Schemathesis")
        return 0
    options = ["--writable"] if arguments.writable else []
    with tempfile.TemporaryDirectory() as folder, served(arguments.binary, arguments.collection, *options) as (address, _):
        settings = Path(folder) / "schemathesis.toml"
        with urllib.request.urlopen(f"{address}/v1/images?limit=3") as reply:
            ids = [image["id"] for image in json.load(reply)["images"]]
        settings.write_text(SETTINGS.format(ids=json.dumps([*ids, "0000000000000000"])))
        command = [environment.python, "-m", "schemathesis.cli", "--config-file", settings, "run"]
        options = ["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--request-timeout", "120"]
        numbers = ["--max-examples", str(arguments.examples), "--seed", str(arguments.seed)]
        return subprocess.call([*command, f"{address}/openapi.json", *options, *numbers], cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
