"""Makes model folders out of public checkpoints, other precisions of them, and says what these are worth.

    python3 tools/export FAMILY SOURCE --out DIR        a folder that patchdex opens
    python3 tools/export --quantize dynamic FOLDER      onnx/model_int8.onnx beside onnx/model.onnx (static, fp16 as well)
    python3 tools/export --fidelity FOLDER              how near the other precisions are to fp32
    python3 tools/export --fuse A B --out DIR           two folders as one model: the tokens of both, one behind the other
    python3 tools/export --list                         the models that are known

SOURCE is a name of models.toml, a Transformers folder, the authors' own file (timm, DINO, MAE, ... layout), or OWNER/NAME on the
Hugging Face hub. Every graph is held against PyTorch at three sizes before the folder is finished.
"""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import environment  # noqa: E402
import setup  # noqa: E402


def layers(text):
    """`all`, or numbers of blocks."""
    return text if text == "all" else sorted({int(part) for part in text.split(",")})


def parsed():
    parser = argparse.ArgumentParser(
        prog="tools/export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="FAMILY SOURCE | FOLDER ...")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the model folder to make")
    parser.add_argument("--name", help="the model's name [default: the registry's, or the folder's]")
    parser.add_argument(
        "--hidden-states", type=layers, default=[], metavar="N,...|all", help="also give the tokens behind these blocks"
    )
    parser.add_argument("--licence", help="the weights' licence, where models.toml does not know it")
    parser.add_argument("--accept-licence", action="store_true", help="export a model whose access is gated")
    parser.add_argument(
        "--heads", type=int, help="heads of attention of an authors' file, where they are not of 64 numbers"
    )
    parser.add_argument(
        "--random",
        type=int,
        metavar="SEED",
        help="random weights instead of the registry's: to try things without a network",
    )
    parser.add_argument(
        "--quantize", choices=("dynamic", "static", "fp16"), help="make another precision of FOLDER's graph"
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="IMAGES", help="photographs for --quantize static [default: the sample ones]"
    )
    parser.add_argument(
        "--keep", type=int, default=1, metavar="N", help="first blocks that int8 leaves in fp32 (%(default)s)"
    )
    parser.add_argument("--fuse", action="store_true", help="make one model of two FOLDERs, for late fusion")
    parser.add_argument("--fidelity", action="store_true", help="hold FOLDER's precisions against its fp32 graph")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="photographs for --fidelity [default: the sample ones]"
    )
    parser.add_argument(
        "--patchdex", type=Path, metavar="PROGRAM", help="with --fidelity, also what its 'eval identify' says"
    )
    parser.add_argument("--long-side", type=int, default=518, metavar="PX", help="of photographs (%(default)s)")
    parser.add_argument("--fetch-torch", action="store_true", help="where no Python has PyTorch, take Debian 12's")
    parser.add_argument("--list", action="store_true", help="show models.toml")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache.absolute()
    wanted = 1 if arguments.quantize or arguments.fidelity else 0 if arguments.list else 2
    if len(arguments.what) != wanted:
        parser.error(f"{wanted} names are wanted, {len(arguments.what)} are given; --help shows the ways to call this")
    if wanted == 2 and not arguments.out:
        parser.error("--out is missing: the folder to make")
    return arguments


@setup.told("run this again: nothing half done is left")
def main():
    arguments = parsed()
    torch = not (arguments.quantize or arguments.fidelity or arguments.fuse or arguments.list)
    again = environment.run_again(HERE, arguments.cache, torch, arguments.fetch_torch)
    if again is not None:
        return again
    if arguments.list:
        import registry

        for row in registry.models().values():
            gated = ", gated" if row["gated"] else ""
            print(f"{row['name']:<24} {row['family']:<17} {row['licence']}{gated}  {row['source']}")
    elif arguments.quantize:
        import precision

        precision.quantize(arguments)
    elif arguments.fidelity:
        import precision

        precision.fidelity(arguments)
    elif arguments.fuse:
        import fusion

        fusion.fuse(arguments)
    else:
        environment.find_torch()
        import exporting

        exporting.export(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
