"""Published data sets as their users have them: a list file or two folders a split, to `[Pair]`.

The layouts are those that HRNet/HRNet-Semantic-Segmentation reads (`data/` in its README, and
`lib/datasets/`). A list names an image and its label a line and decides which files belong to the
split and in what order; where there is none, the split is what its folders hold.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import pathlib
from typing import ClassVar

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.reading import Reading
from hrnet_jax.data.regular_files import find_named, name_inside
from hrnet_jax.data.text import read_text
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs


@dataclasses.dataclass(frozen=True)
class SplitLayout:
  """Where the files of a split may lie, relative to the root; the first that is there counts.

  Attributes:
    lists: list files.
    images: folders of photos.
    labels: folders of labels, one for each of `images`; empty if there are no labels.
    image_ending: what stands between a photo's name and the suffix, `""` if nothing does.
    label_ending: the same of labels.
  """

  lists: tuple[str, ...]
  images: tuple[str, ...]
  labels: tuple[str, ...] = ()
  image_ending: str = ""
  label_ending: str = ""


@dataclasses.dataclass(frozen=True)
class Layout:
  """The splits of a data set, and where in the source folder it may lie.

  Attributes:
    roots: folders in the source, the first that is there is the root; else the source itself is.
    list_folder: where the reference keeps the lists, beside the root.
    splits: by name.
    optional: names of splits that may be missing.
  """

  roots: tuple[str, ...]
  list_folder: str
  splits: dict[str, SplitLayout]
  optional: tuple[str, ...] = ()


class Published(base.Builder, skip_registration=True):
  """A data set in a layout of the reference, with ids of its own in the label files.

  Attributes:
    LAYOUT: of the source folder.
    FACTS: names, colours, weights, pairs.
    STORED_IDS: for every id that may occur in a label file the one that is stored.
    UNIONS: see `Builder.unions`.
  """

  LAYOUT: ClassVar[Layout]
  FACTS: ClassVar[DatasetInfo]
  STORED_IDS: ClassVar[Mapping[int, int]]
  UNIONS: ClassVar[dict[str, tuple[str, ...]]] = {"trainval": ("train", "val")}
  OPTIONS = (base.FOLLOW_OUTSIDE,)

  def plan(self, source: pathlib.Path | None) -> dict[str, list[base.Entry]]:
    """Pairs of the lists, or of the folders where there is no list."""
    return find_splits(source, self.LAYOUT, self.SOURCE_LAYOUT, self.reading(source))

  def record(self, entry: image_label_pairs.Pair) -> dict:
    """Checks one pair and maps its ids."""
    return image_label_pairs.read_mapped(entry, self.STORED_IDS)

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """The same for every source."""
    return self.FACTS

  def unions(self) -> dict[str, tuple[str, ...]]:
    """Those of the class."""
    return self.UNIONS


def find_root(
  source: pathlib.Path,
  roots: Iterable[str],
  holds: Callable[[pathlib.Path], bool] = pathlib.Path.is_dir,
) -> pathlib.Path | None:
  """The first of several folders in the source, or the source itself, for which `holds` is true."""
  return next((path for path in (*map(source.joinpath, roots), source) if holds(path)), None)


def find_splits(
  source: pathlib.Path, layout: Layout, text: str, reading: Reading
) -> dict[str, list[image_label_pairs.Pair]]:
  """Lists the pairs of every split.

  Args:
    source: the user's folder.
    layout: of the data set.
    text: the layout in words, for errors.
    reading: takes lines and files that are bad, and is told what is left out.

  Raises:
    FileNotFoundError: a split is missing.
    ValueError: a list is empty.
  """
  root = find_root(source, layout.roots) or source
  list_dirs = [place / f for f in ("", f"list/{layout.list_folder}") for place in (root, source)]
  found, listed = {}, []
  for name, split in layout.splits.items():
    lists = [folder / entry for folder in list_dirs for entry in split.lists]
    if list_file := next((path for path in lists if path.is_file()), None):
      found[name] = read_list(list_file, root, source, split, reading)
      listed += [pair.image for pair in found[name]]
    elif name not in layout.optional or any((root / folder).is_dir() for folder in split.images):
      found[name] = _walk(root, split, text, reading)
  places = [image.parent for image in listed if image.is_relative_to(source)]
  reading.say_unnamed(places, listed, "no list", deep=False)
  return found


def read_list(
  list_file: pathlib.Path,
  root: pathlib.Path,
  source: pathlib.Path,
  split: SplitLayout,
  reading: Reading,
) -> list[image_label_pairs.Pair]:
  """Reads a list: an image and, if the split has labels, its label a line, further columns unused.

  Paths count from the root, the source or, as in the reference's lists of LIP, from the folder
  that holds the folder of the split. Bad are lines with too few columns, of files that are missing
  or lie elsewhere, and of images that are there twice; each problem has the line's number.

  Raises:
    ValueError: no line.
  """
  kinds = [("image", split.images), ("label", split.labels)][: 2 if split.labels else 1]
  places = [[*((root / f).parent for f in dirs), root, source] for _, dirs in kinds]
  named_from = [*(root / folder for folder in split.images), root, source]
  text = read_text(list_file).splitlines()
  lines = [(number, line) for number, line in enumerate(text, 1) if line.split()]
  if not lines:
    raise UserError(f"{list_file}: the list is empty")
  found: dict[str, image_label_pairs.Pair] = {}
  for number, line in lines:
    with reading.problems.noted():
      where, columns = f"{list_file}, line {number}", line.split()
      if len(columns) < len(kinds):
        raise UserError(f"{where}: {line!r}; expected an image and its label, separated by a space")
      paths = [
        _find_entry(where, kind, entry, tried, reading)
        for (kind, _), entry, tried in zip(kinds, columns, places, strict=False)
      ]
      name = _name(paths[0], named_from).removesuffix(split.image_ending)
      if name in found:
        raise UserError(f"{where}: {columns[0]} is there twice; remove one of the lines")
      found[name] = image_label_pairs.Pair(name, *paths, *[None] * (2 - len(paths)))
  return list(found.values())


def _find_entry(where, kind, entry, places, reading):
  if path := find_named(places, entry, where, reading.within):
    return path
  tried = " nor in ".join(dict.fromkeys(str(folder) for folder in places))
  raise FileNotFoundError(
    f"{where}: no such {kind} {entry} in {tried}; put the file there or remove the line"
  )


def _name(path, places):
  folder = next((folder for folder in places if path.is_relative_to(folder)), None)
  inside = path.relative_to(folder) if folder else path
  return name_inside(inside.with_suffix("").as_posix())


def _walk(root, split, text, reading):
  """Pairs of the folders; those named first are what a message asks for if none is there."""
  number = next((i for i, name in enumerate(split.images) if (root / name).is_dir()), 0)
  image_dir = root / split.images[number]
  label_dir = root / split.labels[number] if split.labels else None
  for folder in (image_dir, label_dir):
    if folder:
      folders.require_folder(folder, text)
  endings = {"image_ending": split.image_ending, "label_ending": split.label_ending}
  return image_label_pairs.find_pairs(image_dir, label_dir, reading, **endings)
