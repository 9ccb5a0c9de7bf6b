"""Which version of the package wrote a checkpoint: facts -> format and version, for people."""

from collections.abc import Iterable, Mapping
import re
from typing import Any

from hrnet_jax import __version__
from hrnet_jax.errors import UserError

# How checkpoints are laid out. 1: whatever had no number. 2: digests are always there and cover
# every item and the step; facts have this number and the package's version.
FORMAT = 2
_FORMAT, _VERSION = "format", "version"


class Unfit(UserError):
  """A checkpoint that is whole, but not for this version, this network or this purpose."""


def stamped(facts: Mapping[str, Any]) -> dict[str, Any]:
  """Facts as they are stored."""
  return {**facts, _FORMAT: FORMAT, _VERSION: __version__}


def format_of(facts: Any) -> int:
  """The number of the layout; 1 also where facts are not what they should be."""
  number = facts.get(_FORMAT, 1) if isinstance(facts, Mapping) else 1
  return number if isinstance(number, int) and not isinstance(number, bool) else 1


def is_newer(facts: Any) -> bool:
  """Whether a later version of the package says that it wrote them."""
  found, ours = (_numbers(x) for x in (_version(facts), __version__))
  return found is not None and ours is not None and found > ours


def refuse_newer(facts: Any) -> None:
  """Refuses a layout that this version does not know.

  Raises:
    Unfit: names both versions.
  """
  if (number := format_of(facts)) > FORMAT:
    raise Unfit(
      f"{both(facts)}, which reads checkpoints up to format {FORMAT}, not {number}; update it"
    )


def both(facts: Any) -> str:
  """Says who wrote facts, and who reads them."""
  version = _version(facts)
  writer = f"hrnet-jax {version}" if version else "an earlier hrnet-jax"
  return f"written by {writer}, read by hrnet-jax {__version__}"


def unknown(where: Any, facts: Any, keys: Iterable[str]) -> str:
  """A line about keys of a config that only its later version knows."""
  names = ", ".join(f"config.{key}" for key in keys)
  return f"{where}: {both(facts)}, which knows nothing of {names}; update it"


def _version(facts: Any) -> str:
  version = facts.get(_VERSION, "") if isinstance(facts, Mapping) else ""
  return version if isinstance(version, str) else ""


def _numbers(version: str) -> tuple[int, ...] | None:
  match = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", version)
  return tuple(int(x or 0) for x in match.groups()) if match else None
