"""All of the mistakes, and for each a seed that finds it."""

import json
from pathlib import Path

from tests.mutants.coming import COMING
from tests.mutants.committing import COMMITTING
from tests.mutants.handing import HANDING
from tests.mutants.mutant import Mutant

__all__ = ["PLANTED", "keep_seeds", "kept_seeds"]

PLANTED: dict[str, Mutant] = {mutant.name: mutant for mutant in (*HANDING, *COMMITTING, *COMING)}

_SEEDS = Path(__file__).parent / "seeds.json"


def kept_seeds() -> dict[str, int]:
    """By mutant: the seed that is known to find it."""
    kept: dict[str, int] = json.loads(_SEEDS.read_text())
    return kept


def keep_seeds(seeds: dict[str, int]) -> None:
    """Keep these instead of those known; others stay."""
    known = kept_seeds() if _SEEDS.exists() else {}
    kept = {name: seeds.get(name, known.get(name, 0)) for name in PLANTED}
    _SEEDS.write_text(json.dumps(kept, indent=1) + "\n")
