"""Files that are there as a whole or not at all."""

import pathlib


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Replaces a file in one step, so that a kill leaves the old or the new one."""
  temporary = path.with_suffix(".tmp")
  temporary.write_bytes(content.encode() if isinstance(content, str) else content)
  temporary.replace(path)
