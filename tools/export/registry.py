"""`models.toml`: what is known of public models."""

import tomllib
from pathlib import Path

FILE = Path(__file__).resolve().parent / "models.toml"


def models():
    """The registry's rows by name."""
    return {row["name"]: row for row in tomllib.loads(FILE.read_text())["model"]}


def of(text):
    """The row of a name, or of the source that it gives; None where the registry has none."""
    rows = models()
    return rows.get(text) or next((row for row in rows.values() if row["source"] == text), None)
