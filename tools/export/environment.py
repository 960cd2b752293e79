"""The environment that exports run in: pinned packages in the cache, and a PyTorch that is there already.

PyTorch is not installed: what the registries have for Linux is gigabytes that no CPU needs. Any Python that can import one will do; its
packages are put behind the pinned ones.
"""

import os
import platform
import shutil
import subprocess
import sys

import setup

LEAST = (3, 11)
SETTING = "PATCHDEX_TORCH"
# What this process tells the one inside: the environment's folder, and the folder that holds torch.
INSIDE, TORCH = "PATCHDEX_EXPORT_VENV", "PATCHDEX_EXPORT_TORCH"
ADVICE = (
    "no Python from 3.11 here can import PyTorch (1.13 or later): install Debian's python3-torch and libopenblas0, or 'pip install torch', set "
    f"{SETTING} to the folder that holds the package torch, or, on Debian 12, add --fetch-torch (130 MB, into the cache)"
)


class NoTorch(setup.Failure):
    """There is no PyTorch, and none can be fetched."""


PROBE = """
import sys
sys.path[:0] = sys.argv[1:]
import os, torch
print(f"{sys.version_info.major}.{sys.version_info.minor}")
print(os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__))))
"""


def with_torch():
    """(Python, its version, the folder that holds torch) of the first Python here that can import PyTorch; None where none can."""
    folders = [os.environ[SETTING]] if os.environ.get(SETTING) else []
    names = (sys.executable, shutil.which("python3"), "/usr/bin/python3", shutil.which("python"))
    for python in dict.fromkeys(name for name in names if name):
        found = subprocess.run([python, "-c", PROBE, *folders], text=True, capture_output=True, check=False)
        if found.returncode == 0:
            version, folder = found.stdout.split("\n")[:2]
            if tuple(map(int, version.split("."))) >= LEAST:
                return python, version, folder
    return None


def any_torch(cache, fetch):
    """As `with_torch`, with Debian's PyTorch in the cache, which `fetch` allows to put there; a failure where there is none."""
    if found := with_torch():
        return found
    root = cache / "debian-torch"
    if not (root / "whole").is_file():
        if not fetch:
            raise NoTorch(ADVICE)
        unpack_debian(root)
    own = f"{platform.machine()}-linux-gnu"
    libraries = root / "usr/lib" / own
    more = [libraries / "blas", libraries / "lapack", root / "usr/lib", root / "lib" / own, root / "lib"]
    places = [*sorted(libraries.glob("openblas*")), libraries, *more]
    os.environ["LD_LIBRARY_PATH"] = ":".join([*map(str, places), os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")
    os.environ[SETTING] = str(root / "usr/lib/python3/dist-packages")
    if found := with_torch():
        return found
    raise NoTorch(
        f"{root} has Debian's PyTorch, which no Python here can import: it wants Python 3.11 of Debian 12; {ADVICE}"
    )


def unpack_debian(root):
    """Fetches Debian's python3-torch with all that it needs and the system lacks, and unpacks it into `root`; installs nothing."""
    setup.say("download", "Debian's python3-torch")
    shutil.rmtree(root, ignore_errors=True)
    packages = root / "packages"
    packages.mkdir(parents=True)
    # Its products are twenty times as fast with OpenBLAS.
    simulated = ["apt-get", "--simulate", "--no-install-recommends", "install", "python3-torch", "libopenblas0-pthread"]
    try:
        plan = subprocess.run(simulated, text=True, capture_output=True, check=True).stdout
        names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        subprocess.run(["apt-get", "download", "-qq", *names], cwd=packages, capture_output=True, check=True)
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoTorch(f"Debian's PyTorch could not be fetched ({error}); {ADVICE}") from error
    for unused in (packages, root / "usr/share", root / "usr/include"):
        shutil.rmtree(unused, ignore_errors=True)
    (root / "whole").touch()


def run_again(script, cache, torch, fetch=False):
    """Runs `script` with this process's arguments in the environment, with PyTorch where `torch` says so, which `fetch` allows to get from
    Debian; gives its exit status, or None where this process is inside.
    """
    if os.environ.get(INSIDE) == sys.prefix:
        return None
    if sys.version_info < LEAST and not torch:
        raise setup.Failure(f"Python {'.'.join(map(str, LEAST))} or later is needed")
    cache.mkdir(parents=True, exist_ok=True)
    python, version, folder = sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}", None
    if torch:
        with setup.exclusive(cache / "setup.lock"):
            python, version, folder = any_torch(cache, fetch)
    environment = setup.Environment(cache / f"venv-export-{version}", python)
    with setup.exclusive(cache / "setup.lock"):
        environment.install(setup.HERE / "requirements-export.txt")
    settings = {
        INSIDE: str(environment.folder),
        TORCH: folder or "",
        "TRANSFORMERS_VERBOSITY": "error",
        "USE_TF": "0",
        "USE_FLAX": "0",
    }
    return subprocess.call([environment.python, script, *sys.argv[1:]], env={**os.environ, **settings})


def find_torch():
    """Makes the PyTorch that was found importable in this process, behind the environment's own packages."""
    folder = os.environ.get(TORCH)
    if folder and folder not in sys.path:
        sys.path.append(folder)
