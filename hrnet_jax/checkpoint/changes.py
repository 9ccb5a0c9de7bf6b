"""Values of a run's config that may differ from one start to the next: two -> `Change`s."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from hrnet_jax.checkpoint.legacy import ABSENT, upgrade
from hrnet_jax.config import flatten
from hrnet_jax.errors import UserError

# Where and how fast a run computes, how it is tested, and what it says and keeps. Its numbers stay
# the same, but for rounding.
_FREE = (
  "mesh", "data.data_dir", "data.workers", "data.threads", "model.scan_layers", "model.remat",
  "train.watchdog", "train.log_every", "checkpoint", "eval", "data.eval_split", "transform.eval",
)  # fmt: skip
_LENGTH = ("train.steps", "train.epochs")
# What the flag allows. The state of a run fits all of their values, and so does its position in the
# data, which is counted in batches.
_ON_REQUEST = (
  "optimizer.learning_rate", "optimizer.schedule", "optimizer.weight_decay", "optimizer.momentum",
  *_LENGTH, "train.accumulate", "loss", "transform.train",
)  # fmt: skip
_SECTION = "config."
ABSENT_VALUE = "(absent)"  # of a key that one of two configs lacks


@dataclasses.dataclass(frozen=True)
class Change:
  """A value that differs.

  Attributes:
    key: dotted.
    old: the value in the workdir, as JSON has it.
    new: the value now.
    free: whether it needs no flag.
    possible: whether a flag may allow it.
    note: more about it, for people.
  """

  key: str
  old: Any
  new: Any
  free: bool
  possible: bool
  note: str = ""

  def __str__(self) -> str:
    return f"  config.{self.key}: {self.old!r} there, {self.new!r} now{self.note}"


def find(
  stored: Mapping[str, Any], config: Mapping[str, Any], *, length_matters: bool
) -> list[Change]:
  """Everything in which two configs differ, by key.

  Args:
    stored: of the workdir, perhaps of an earlier version.
    config: of now, as JSON has it.
    length_matters: whether the learning rate at a step depends on the number of all steps.
  """
  before, now = ({**ABSENT, **dict(flatten(x))} for x in (upgrade(stored), config))
  keys = sorted(before.keys() | now.keys())
  pairs = ((key, before.get(key, ABSENT_VALUE), now.get(key, ABSENT_VALUE)) for key in keys)
  phases = any(x.get("train.fine_tune.epochs") for x in (before, now))
  return [_judged(*pair, length_matters, phases) for pair in pairs if pair[1] != pair[2]]


def check(where: str, changes: Sequence[Change], allowed: Sequence[str]) -> None:
  """Refuses changes that nobody allowed.

  Args:
    where: the workdir, for the message.
    changes: from `find`.
    allowed: keys from the user, with what is below them; see `keys`.

  Raises:
    UserError: names every value that differs and the flag that would allow it, if there is one.
  """
  refused = [
    x
    for x in changes
    if not x.free and not (x.possible and _is_below(x.key, *map(_plain, allowed)))
  ]
  if not refused:
    return
  flag = f"--allow_changes={','.join(x.key for x in refused if x.possible)}"
  impossible = [x.key for x in refused if not x.possible]
  if not impossible:
    advice = f"go on with the same config, allow the changes with {flag}"
  else:
    advice = f"go on with the same config ({', '.join(impossible)} cannot change within a run)"
  raise UserError(
    f"{where} belongs to a run with another config:\n" + "\n".join(map(str, refused)) + "\n"
    f"{advice}, or choose another --workdir"
  )


def check_keys(allowed: Sequence[str]) -> None:
  """Refuses keys that no flag can allow.

  Raises:
    UserError: names the key, and those that there are.
  """
  for key in map(_plain, allowed):
    if not _is_below(key, *_ON_REQUEST):
      free = " (it may change without the flag)" if _is_below(key, *_FREE) else ""
      raise UserError(
        f"--allow_changes: {key!r} is not among the keys that it allows{free}: "
        f"{', '.join(_ON_REQUEST)}, and what is below them"
      )


def _judged(key: str, old: Any, new: Any, length_matters: bool, phases: bool) -> Change:
  if key not in _LENGTH:
    return Change(key, old, new, _is_below(key, *_FREE), _is_below(key, *_ON_REQUEST))
  if phases:  # which example comes next depends on where the second phase begins
    return Change(key, old, new, False, False)
  if length_matters:
    note = " (the schedule goes by the length: the rest of its curve changes)"
    return Change(key, old, new, False, True, note)
  longer = isinstance(old, int | float) and isinstance(new, int | float) and 0 < old < new
  return Change(key, old, new, longer, True)


def _is_below(key: str, *sections: str) -> bool:
  return any(key == section or key.startswith(f"{section}.") for section in sections)


def _plain(key: str) -> str:
  return key.strip().removeprefix(_SECTION)
