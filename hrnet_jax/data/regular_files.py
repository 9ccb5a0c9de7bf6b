"""Files of users' folders: lists them, tells which are none of anybody's, and reads them whole.

Folders contain more than what a person put there: thumbnails of Windows and macOS, links, pipes.
One list says what is taken and what is passed over, and counts what is left out.
"""

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import os
import pathlib
import stat
import unicodedata

from hrnet_jax.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# What systems leave in folders, in lower case, beside names that begin with a dot.
_OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "icon\r"}
_MOST_FILES = 50_000_000
_DEEPEST = 32  # folders in folders


@dataclasses.dataclass(frozen=True)
class Found:
  """The files of a folder.

  Attributes:
    files: path by the path in the folder without suffix, sorted; with forward slashes, in Unicode's
      composed form.
    left_out: number of files of other kinds, by suffix or what they are.
  """

  files: dict[str, pathlib.Path]
  left_out: dict[str, int]


def is_of_system(name: str) -> bool:
  """Whether a name is hidden, or of a file that a system made for itself."""
  return name.startswith(".") or name.lower() in _OF_SYSTEMS


def list_files(
  folder: pathlib.Path, suffixes: Sequence[str], *, deep: bool = True, unique: bool = True
) -> Found:
  """Lists the files of a folder and of all folders in it; links are followed.

  Args:
    folder: what is hidden or a system's own is passed over in it.
    suffixes: in lower case; the files' may be in any case.
    deep: whether folders in it are looked into.
    unique: whether two files that differ by the suffix are an error; otherwise names have suffixes.

  Raises:
    FileNotFoundError: no such folder.
    ValueError: two files of one name, or folders that contain each other.
  """
  if not folder.is_dir():
    raise FileNotFoundError(f"{folder}: no such folder")
  files: dict[str, pathlib.Path] = {}
  left_out: collections.Counter[str] = collections.Counter()
  for path, is_file in _walk(folder, deep, ()):
    relative = path.relative_to(folder)
    kind = "" if is_file else _kind(path)
    if kind or path.suffix.lower() not in suffixes:
      left_out[kind or path.suffix.lower() or "without suffix"] += 1
      continue
    name = unicodedata.normalize(
      "NFC", (relative.with_suffix("") if unique else relative).as_posix()
    )
    if name in files:
      raise UserError(f"{path}: has the same name as {files[name]}; keep one of the two")
    files[name] = path
    if len(files) > _MOST_FILES:
      raise UserError(f"{folder}: more than {_MOST_FILES} files")
  in_order = sorted(files.items(), key=lambda item: item[1])
  return Found(dict(in_order), dict(sorted(left_out.items())))


def describe_left_out(folder: pathlib.Path, left_out: dict[str, int], wanted: str) -> str:
  """A line about files that were left out, or nothing.

  Args:
    folder: where they lie.
    left_out: see `Found`.
    wanted: what is read, for people.
  """
  if not left_out:
    return ""
  count = sum(left_out.values())
  kinds = ", ".join(f"{number} {kind}" for kind, number in left_out.items())
  return (
    f"{folder}: {count} {'file is' if count == 1 else 'files are'} left out ({kinds}); {wanted}"
  )


def require_unicode(path: pathlib.Path) -> None:
  """Refuses a name that no record can hold: bytes of another encoding, as old disks have them.

  Raises:
    ValueError: names the folder and the name.
  """
  try:
    path.name.encode()
  except UnicodeEncodeError:
    raise UserError(
      f"{path.parent}: {os.fsencode(path.name)!r} is not text in UTF-8; rename it"
    ) from None


def with_slashes(name: str) -> str:
  """A name in an annotation, with a backslash of Windows as a slash."""
  return name.replace("\\", "/")


def find_named(
  places: Sequence[pathlib.Path], name: str, where: str, within: pathlib.Path | None
) -> pathlib.Path | None:
  """The file that an annotation names, in the first folder that has it; None if none has.

  A backslash is taken for a slash, Unicode's composed and decomposed letters for the same, and
  `.JPG` for `.jpg` where there is no file of the very name.

  Args:
    places: folders.
    name: as the annotation has it.
    where: file and row of the annotation, for errors.
    within: the folder that the file has to lie in, whatever links lead to it, itself without
      links; None for anywhere.

  Raises:
    ValueError: the file lies outside of `within`.
  """
  slashed = with_slashes(name)
  if within is not None and _leads_out(slashed):
    raise UserError(
      f"{where}: {name!r} leads out of the source folder; names count from {places[0]}; if you "
      "trust this, --follow_outside allows it"
    )
  written = (slashed, *(unicodedata.normalize(x, slashed) for x in ("NFC", "NFD")))
  forms = dict.fromkeys((name, *written, *(x for form in written for x in _in_other_case(form))))
  for folder in places:
    for form in forms:
      path = folder / form
      try:
        if not path.is_file():
          continue
      except (OSError, ValueError):  # too long, or not a name
        continue
      if within is not None and not _lies_in(path, within):
        # A folder of photos elsewhere is said once, not for each of them.
        whole = not _lies_in(folder, within)
        raise UserError(
          f"{folder if whole else f'{where}: {name!r}'} is behind a link that leads out of the "
          f"source folder, to {(folder if whole else path).resolve()}; if you trust this, "
          "--follow_outside allows it"
        )
      return path
  return None


def name_inside(name: str) -> str:
  """A name that, joined to any folder, stays in it: `../../a` becomes `_up/_up/a`.

  Names that do so already are unchanged.
  """
  slashed = with_slashes(name)
  if not _leads_out(slashed):
    return name
  parts = pathlib.PurePosixPath(slashed).parts
  return "/".join({"..": "_up", "/": "_root", "//": "_root"}.get(part, part) for part in parts)


def _leads_out(slashed: str) -> bool:
  drive = len(slashed) > 1 and slashed[1] == ":"
  return ".." in pathlib.PurePosixPath(slashed).parts or slashed.startswith("/") or drive


def _in_other_case(name: str) -> tuple[str, str]:
  """A name whose suffix is in small letters, and in capitals."""
  stem, dot, suffix = name.rpartition(".")
  return f"{stem}{dot}{suffix.lower()}", f"{stem}{dot}{suffix.upper()}"


def _lies_in(path: pathlib.Path, folder: pathlib.Path) -> bool:
  return path.resolve().is_relative_to(folder)


def read_regular(path: pathlib.Path, *, most_bytes: int = 2**32) -> bytes:
  """A file's bytes.

  Raises:
    FileNotFoundError: it cannot be read; with its name.
    ValueError: it is a pipe, a device or a folder, which might never end, or it is too large.
  """
  try:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
      raise UserError(f"{path}: {_kind(path)}, expected an ordinary file")
    if status.st_size > most_bytes:
      raise UserError(
        f"{path}: {status.st_size} bytes, expected at most {most_bytes}; is it the right file?"
      )
    return path.read_bytes()
  except OSError as error:
    raise FileNotFoundError(f"{path}: cannot be read ({error.strerror})") from error


def _walk(
  folder: pathlib.Path, deep: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[pathlib.Path, bool]]:
  """Paths, and whether they are ordinary files, which the folder's own list says of most."""
  try:
    status = folder.stat()
    with os.scandir(folder) as found:
      entries = sorted(found, key=lambda entry: entry.name)
  except OSError as error:
    raise FileNotFoundError(f"{folder}: cannot be read ({error.strerror})") from error
  place = (status.st_dev, status.st_ino)
  if place in above or len(above) > _DEEPEST:
    raise UserError(f"{folder}: a link to a folder that it lies in; remove it")
  for entry in entries:
    if is_of_system(entry.name):
      continue
    path = folder / entry.name
    require_unicode(path)
    try:
      is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
      is_folder, is_file = False, False
    if not is_folder:
      yield path, is_file
    elif deep:
      yield from _walk(path, deep, (*above, place))


def _kind(path: pathlib.Path) -> str:
  """Says what a path is that is no ordinary file, for people; empty if it is one."""
  try:
    mode = path.stat().st_mode
  except OSError:
    return "broken link" if path.is_symlink() else "unreadable"
  kinds = {
    stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device", stat.S_IFBLK: "device",
  }  # fmt: skip
  return kinds.get(stat.S_IFMT(mode), "")
