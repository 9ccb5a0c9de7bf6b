"""How a user's source folder is read, and what is found to be bad or left out on the way."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import dataclasses
import pathlib

from hrnet_jax.data.regular_files import IMAGE_SUFFIXES, list_files
from hrnet_jax.errors import UserError

_SHOWN = 20  # problems in a message
_ABOUT_ONE = (UserError, FileNotFoundError)  # what a check of a photo or a row raises


class Problems:
  """Faults of single photos and rows; collected, so that people see all of them at once."""

  def __init__(self) -> None:
    # Whether a file is missing, by text: some rows are looked at more than once. The errors
    # themselves would keep the bytes of images alive.
    self._found: dict[str, bool] = {}

  def __len__(self) -> int:
    return len(self._found)

  @contextlib.contextmanager
  def noted(self) -> Iterator[None]:
    """Checks one photo or row in its body: an error about it is noted, and not raised."""
    try:
      yield
    except _ABOUT_ONE as error:
      self.note(error)

  def note(self, error: Exception) -> None:
    """Appends an error about one photo or row."""
    self._found[str(error)] = isinstance(error, FileNotFoundError)

  def add(self, other: "Problems") -> None:
    """Appends what another has found."""
    self._found |= other._found

  def texts(self) -> list[str]:
    """All of them, in the order in which they were found."""
    return list(self._found)

  def shown(self) -> str:
    """The first ones, a line each, and how many more there are."""
    lines = [f"\n  {text}" for text in self.texts()[:_SHOWN]]
    more = len(self) - _SHOWN
    return "".join([*lines, f"\n  ... and {more} more"] if more > 0 else lines)

  def require_none(self) -> None:
    """Raises if there is one, with the first of them.

    Raises:
      FileNotFoundError: all are of files that are missing.
      ValueError: else.
    """
    if not self._found:
      return
    if len(self) == 1:
      text = f"{self.texts()[0]}; --skip_bad leaves it out"
    else:
      text = f"{len(self)} photos or annotations are bad; --skip_bad leaves them out:{self.shown()}"
    raise (FileNotFoundError if all(self._found.values()) else UserError)(text)


@dataclasses.dataclass(frozen=True)
class Reading:
  """Comes from a builder to those that read files for it.

  Attributes:
    within: the folder that names in annotations may not lead out of, without links; None if they
      may.
    say: is told what is left out, a line at a time.
    problems: takes what is wrong with single photos and rows.
  """

  within: pathlib.Path | None
  say: Callable[[str], None] = lambda text: None
  problems: Problems = dataclasses.field(default_factory=Problems)

  def say_unnamed(
    self, folders: Iterable[pathlib.Path], used: Iterable[pathlib.Path], by: str, *, deep: bool
  ) -> None:
    """Counts the images of folders that no annotation names.

    Args:
      folders: that hold the photos.
      used: the photos that are named.
      by: what would have to name them, for people.
      deep: whether folders in these folders count.
    """
    named = set(used)
    for folder in dict.fromkeys(folders):
      try:
        found = list_files(folder, IMAGE_SUFFIXES, deep=deep, unique=False).files.values()
      except UserError as error:  # such as folders that contain each other; the photos are found
        self.say(f"{error}; images that {by} names are not counted")
        continue
      unnamed = [path for path in found if path not in named]
      if unnamed:
        self.say(
          f"{folder}: {len(unnamed)} of {len(found)} images are left out, such as "
          f"{unnamed[0].relative_to(folder)}; {by} names them"
        )
