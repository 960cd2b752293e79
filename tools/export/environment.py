"""The environment that exports run in: pinned packages in the cache, and a PyTorch that is there already.

PyTorch is not installed: what the registries have for Linux is gigabytes that no CPU needs. Any Python that can import one will do; its
packages are put behind the pinned ones.
"""

import os
import shutil
import subprocess
import sys

import setup

LEAST = (3, 11)
SETTING = "PATCHDEX_TORCH"
# What this process tells the one inside: the environment's folder, and the folder that holds torch.
INSIDE, TORCH = "PATCHDEX_EXPORT_VENV", "PATCHDEX_EXPORT_TORCH"
ADVICE = (
    "no Python from 3.11 here can import PyTorch (1.13 or later): install Debian's python3-torch, or 'pip install torch', or "
    f"set {SETTING} to the folder that holds the package torch"
)
PROBE = """
import sys
sys.path[:0] = sys.argv[1:]
import os, torch
print(f"{sys.version_info.major}.{sys.version_info.minor}")
print(os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__))))
"""


def with_torch():
    """(Python, its version, the folder that holds torch) of the first Python here that can import PyTorch."""
    folders = [os.environ[SETTING]] if os.environ.get(SETTING) else []
    names = (sys.executable, shutil.which("python3"), "/usr/bin/python3", shutil.which("python"))
    for python in dict.fromkeys(name for name in names if name):
        found = subprocess.run([python, "-c", PROBE, *folders], text=True, capture_output=True, check=False)
        if found.returncode == 0:
            version, folder = found.stdout.split("\n")[:2]
            if tuple(map(int, version.split("."))) >= LEAST:
                return python, version, folder
    raise setup.Failure(ADVICE)


def run_again(script, cache, torch):
    """Runs `script` with this process's arguments in the environment, with PyTorch where `torch` says so; gives its exit status, or None
    where this process is inside.
    """
    if os.environ.get(INSIDE) == sys.prefix:
        return None
    if sys.version_info < LEAST and not torch:
        raise setup.Failure(f"Python {'.'.join(map(str, LEAST))} or later is needed")
    python, version, folder = sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}", None
    if torch:
        python, version, folder = with_torch()
    environment = setup.Environment(cache / f"venv-export-{version}", python)
    cache.mkdir(parents=True, exist_ok=True)
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
