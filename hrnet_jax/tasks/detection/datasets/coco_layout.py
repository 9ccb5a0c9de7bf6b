"""Where annotations in COCO's format and their photos lie: `source -> {split: (file, folders)}`.

annotations/instances_SPLIT.json      COCO itself; photos in SPLIT/, images/SPLIT/ or images/
SPLIT/_annotations.coco.json          Roboflow; photos beside the file
ANY.json or annotations/ANY.json      one file alone, such as CVAT's instances_default.json or
                                      Label Studio's result.json; its photos are split by name
"""

import dataclasses
import pathlib
import re

from hrnet_jax.data.datasets import folders
from hrnet_jax.data.regular_files import is_of_system

ALONE = "default"
_INSTANCES = re.compile(r"instances_(\w+)\.json")
_ROBOFLOW = "_annotations.coco.json"


@dataclasses.dataclass(frozen=True)
class Annotations:
  """A file of annotations.

  Attributes:
    path: of the file.
    places: folders where its photos may lie, the likely one first.
    alone: whether it is the only one, so that its photos are split by name.
  """

  path: pathlib.Path
  places: tuple[pathlib.Path, ...]
  alone: bool = False


def find_annotations(source: pathlib.Path, layout: str) -> dict[str, Annotations]:
  """The files of annotations by split, or one alone, named `ALONE`.

  Args:
    source: the user's folder.
    layout: in words, for the error message.

  Raises:
    FileNotFoundError: there is no file of annotations, or no folder of its photos.
    ValueError: two folders of one split.
  """
  found = _instances(source) or _roboflow(source) or _single(source)
  if not found:
    folder = source / "annotations"
    if files := [*_json_files(folder), *_json_files(source)]:
      raise FileNotFoundError(
        f"{folder}: no instances_SPLIT.json, with letters, digits and _ for SPLIT, but "
        f"{len(files)} other JSON files, such as {files[0].name}; rename those of objects"
      )
    raise FileNotFoundError(
      f"{source / 'annotations'}: no instances_SPLIT.json; the source folder has to hold {layout}"
    )
  return found


def other_files(found: dict[str, Annotations]) -> list[str]:
  """Names of JSON files beside those that are read, such as captions."""
  read = {file.path for file in found.values()}
  beside = {path for file in read for path in _json_files(file.parent)}
  return sorted(path.name for path in beside - read)


def _instances(source: pathlib.Path) -> dict[str, Annotations]:
  files = _json_files(source / "annotations")
  named = {m[1]: path for path in files if (m := _INSTANCES.fullmatch(path.name))}
  alone = len(named) == 1 and not any(_photo_folders(source, split) for split in named)
  found = {}
  for split, path in named.items():
    own = _photo_folders(source, split)
    if not own and not alone:
      raise FileNotFoundError(
        f"{source / split}: no such folder (nor {source / 'images' / split}), but there is {path}; "
        "add the photos, or move the file of annotations elsewhere to leave this split out"
      )
    # Some write the folder into the name of the file.
    places = (*own, *_shared_places(source))
    found[ALONE if alone else split] = Annotations(path, places, alone)
  return found


def _roboflow(source: pathlib.Path) -> dict[str, Annotations]:
  splits = folders.split_folders(
    source,
    is_split=lambda folder: (folder / _ROBOFLOW).is_file(),
    lack=f"holds no {_ROBOFLOW}, although there is one in",
  )
  if splits:
    return {name: Annotations(x / _ROBOFLOW, (x,)) for name, x in splits.items()}
  alone = source / _ROBOFLOW
  return {ALONE: Annotations(alone, (source,), alone=True)} if alone.is_file() else {}


def _single(source: pathlib.Path) -> dict[str, Annotations]:
  files = [*_json_files(source / "annotations"), *_json_files(source)]
  if len(files) != 1:
    return {}
  return {ALONE: Annotations(files[0], _shared_places(source), alone=True)}


def _json_files(folder: pathlib.Path) -> list[pathlib.Path]:
  if not folder.is_dir():
    return []
  return [x for x in sorted(folder.glob("*.json")) if x.is_file() and not is_of_system(x.name)]


def _photo_folders(source: pathlib.Path, split: str) -> tuple[pathlib.Path, ...]:
  return tuple(x for x in (source / split, source / "images" / split) if x.is_dir())


def _shared_places(source: pathlib.Path) -> tuple[pathlib.Path, ...]:
  return tuple(x for x in (source / "images", source) if x.is_dir())
