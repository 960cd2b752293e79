"""From a checkpoint to a checked model folder."""

import shutil
from pathlib import Path

import agreement
import folder
import original
import registry
import setup
from families import FAMILIES, randomised


def export(arguments):
    """Makes the folder `arguments.out`, all of it or nothing."""
    name, source = arguments.what
    family = FAMILIES.get(name)
    if family is None:
        raise setup.Failure(f"no family '{name}'; there are {', '.join(FAMILIES)}")
    row = registry.of(source)
    if row and row["family"] != name:
        raise setup.Failure(f"{source} is of the family {row['family']}, not {name}")
    if row and row["gated"] and arguments.random is None and not arguments.accept_licence:
        where = f"; read {row['licence_url']}" if "licence_url" in row else ""
        raise setup.Failure(f"{source} is gated and under the {row['licence']}{where}; --accept-licence goes on")
    out = arguments.out.absolute()
    if out.exists():
        raise setup.Failure(f"{out} is there; remove it, or choose another --out")
    model, files = loaded(family, row, arguments)
    backbone, config = family.backbone(model), model.config
    count = len(backbone.layers)
    backbone.hidden = tuple(range(1, count + 1)) if arguments.hidden_states == "all" else tuple(arguments.hidden_states)
    if backbone.hidden and not 1 <= backbone.hidden[0] <= backbone.hidden[-1] <= count:
        raise setup.Failure(f"--hidden-states: {source} has blocks 1 to {count}")
    about = description(name, row, arguments, backbone.prefix_tokens)
    making = out.with_name(f".{out.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    try:
        setup.say("export", f"{about['name']}: {count} blocks of {config.hidden_size} numbers")
        graph = making / "onnx/model.onnx"
        folder.write_graph(backbone, config.patch_size, family.inputs, graph)
        checked = folder.outputs(backbone), config.patch_size, config.image_size, family.inputs
        worst = agreement.held(graph, backbone, *checked)
        folder.write_texts(making, config, about, family.image, files)
        out.parent.mkdir(parents=True, exist_ok=True)
        making.rename(out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    setup.say("agrees", "with PyTorch to " + ", ".join(f"{value:.0e} at {size}" for size, value in worst.items()))
    setup.say("ready", f"{out} ({about['licence']})")
    if family.inputs:
        setup.say("inputs", " ".join(f"--input {one}=NUMBER" for one in family.inputs) + " is needed by patchdex")


def description(family, row, arguments, prefix_tokens):
    """The `patchdex` object of config.json."""
    about = {
        "name": arguments.name or (row["name"] if row else arguments.out.name),
        "family": family,
        "prefix_tokens": prefix_tokens,
        "output": "last_hidden_state",
        "source": row["source"] if row else local_name(arguments.what[1]),
        "licence": arguments.licence or (row["licence"] if row else "not said"),
        "gated": bool(row and row["gated"]),
    }
    if arguments.random is not None:
        about["source"] = f"random weights of seed {arguments.random} in the shape of {about['source']}"
    for key in ("licence_url", "long_side", "drop_dims", "reason"):
        if row and key in row:
            about[key] = row[key]
    return about


def local_name(source):
    """What is said of a source: of a file or a folder here its name alone."""
    return Path(source).name if Path(source).exists() else source


def loaded(family, row, arguments):
    """The model, and the local folder whose preprocessing and licence go with it, if there is one."""
    source = arguments.what[1]
    if arguments.random is not None:
        if row is None:
            raise setup.Failure(f"--random takes a name of models.toml; it has no '{source}' (--list)")
        return randomised(family.empty(family.configuration(row)), arguments.random), None
    path = Path(source)
    if path.is_dir():
        return family.pretrained(path), path
    if path.is_file():
        return of_file(family, path, arguments.heads), None
    repository = row["source"] if row else source
    if repository.startswith("https:"):
        raise setup.Failure(f"fetch {row['original']} from {repository} and give its path instead of {source}")
    if repository.count("/") != 1:
        raise setup.Failure(
            f"'{source}' is no name of models.toml (--list), no folder, no file and no OWNER/NAME of the hub"
        )
    return of_hub(family, row, repository, arguments.heads)


def of_hub(family, row, repository, heads):
    """The model of a repository: a Transformers folder, or the authors' file."""
    import huggingface_hub

    wanted = ["*.json", "*.safetensors", "pytorch_model*.bin", "LICENSE*"]
    try:
        local = Path(huggingface_hub.snapshot_download(repository, allow_patterns=wanted))
        if (local / "config.json").is_file():
            return family.pretrained(local), local
        if row is None or "original" not in row:
            raise setup.Failure(f"{repository} has no config.json; give a file of it that you have")
        file = Path(huggingface_hub.hf_hub_download(repository, row["original"]))
    except setup.Failure:
        raise
    except Exception as error:
        reason = setup.last_line(str(error)).rstrip(".")
        advice = "accept its licence on the hub and set HF_TOKEN, or " if row and row["gated"] else ""
        raise setup.Failure(
            f"could not fetch {repository}: {reason}; {advice}give a folder or a file that you have"
        ) from error
    return of_file(family, file, heads), local


def of_file(family, path, heads):
    """The model of an authors' file: its shape is what its weights show."""
    if family.keys is None:
        raise setup.Failure(f"{path}: of this family only Transformers folders are understood")
    tensors = original.weights(path)
    model = family.empty(family.configuration(original.shape(tensors, heads)))
    names = family.keys(tensors)
    try:
        missing, unknown = model.load_state_dict(names, strict=False)
    except RuntimeError as error:
        raise setup.Failure(
            f"{path}: its weights have other shapes than the family's: {setup.last_line(str(error))}"
        ) from error
    positions = {"embeddings.position_embeddings"} if "gsd" in family.inputs else set()
    needed = [one for one in missing if one not in positions and "mask_token" not in one and "decoder" not in one]
    if needed or unknown:
        raise setup.Failure(f"{path}: its weights do not fit the family; missing {needed[:4]}, unknown {unknown[:4]}")
    return model
