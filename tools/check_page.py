#!/usr/bin/env python3
"""Holds the page of `patchdex serve` against a browser: a crop that is dragged, keys alone, a narrow screen, links, a
token, and what axe says of it.

`check_page.py URL [TOKEN_URL TOKEN]` checks a service with the sample photographs; tests/serve/page.rs runs it. Without
URL it only fetches its packages (tests/page/package-lock.json has their hashes) into the cache. Needs Node.js 20 with npm
and Chromium (PATCHDEX_CHROMIUM, or of that name on the path); where one is missing it says so and checks nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

CHECKS = Path(__file__).resolve().parent.parent / "tests/page"
PINNED = ("package.json", "package-lock.json")
NODE = 20


def version_of_node(node):
    done = subprocess.run([node, "--version"], text=True, stdout=subprocess.PIPE, check=False)
    digits = done.stdout.strip().lstrip("v").split(".")[0]
    return int(digits) if digits.isdigit() else 0


def missing(programs):
    """What a contributor has to install first; nothing where all is there."""
    wanted = [name for name, path in programs.items() if not path]
    if not wanted and version_of_node(programs["node"]) < NODE:
        wanted = [f"Node.js {NODE} or later"]
    return " and ".join(wanted)


def install(npm, folder):
    """Fetches the pinned packages, unless those very ones are there."""
    wanted = {name: (CHECKS / name).read_bytes() for name in PINNED}
    whole = folder / "whole"
    if whole.is_file() and all((folder / name).read_bytes() == text for name, text in wanted.items()):
        return
    setup.say("page", "installing the packages of tests/page")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in wanted.items():
        (folder / name).write_bytes(text)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "downloads")]
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        reason = setup.last_line(done.stdout)
        raise setup.Failure(f"could not fetch the packages of tests/page; is there a network connection? ({reason})")
    shutil.rmtree(folder / "downloads", ignore_errors=True)
    whole.touch()


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold the page of patchdex serve against a browser.")
    parser.add_argument("url", nargs="?", help="of a service with the sample photographs")
    parser.add_argument("token_url", nargs="?", help="of one that asks for a token")
    parser.add_argument("token", nargs="?", help="which it asks for")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    chromium = os.environ.get("PATCHDEX_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    programs = {"node": shutil.which("node"), "npm": shutil.which("npm"), "chromium": chromium}
    lacking = missing(programs)
    if lacking:
        setup.say("page", f"SKIPPED: no {lacking} here; the page is not checked (Debian: apt install nodejs npm chromium)")
        return 0
    root = arguments.cache.absolute()
    root.mkdir(parents=True, exist_ok=True)
    packages = root / "npm-page"
    with setup.exclusive(root / "setup.lock"):
        install(programs["npm"], packages)
    if arguments.url is None:
        setup.say("ready", "Playwright, axe")
        return 0
    told = [text for text in (arguments.token_url, arguments.token) if text]
    settings = {"PATCHDEX_PAGE_PACKAGES": str(packages), "PATCHDEX_CHROMIUM": chromium}
    command = [programs["node"], str(CHECKS / "check.mjs"), arguments.url, str(root / "photos"), *told]
    return subprocess.call(command, env={**os.environ, **settings})


if __name__ == "__main__":
    sys.exit(main())
