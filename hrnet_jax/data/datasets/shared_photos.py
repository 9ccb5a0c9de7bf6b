"""Photos that are in two splits: scores on what was trained on say nothing about new photos."""


class SharedPhotos:
  """Compares the bytes of the files of all splits, of which it keeps checksums alone."""

  def __init__(self) -> None:
    self._seen: dict[str, set[int]] = {}

  def add(self, split: str, image: object) -> None:
    """Takes a photo of a split; anything but bytes is passed over."""
    if isinstance(image, bytes):
      self._seen.setdefault(split, set()).add(hash(image))

  def describe(self) -> list[str]:
    """A line for each two splits that share photos, in the order in which they were added."""
    told, splits = [], list(self._seen)
    for index, split in enumerate(splits):
      for other in splits[:index]:
        shared, own = len(self._seen[split] & self._seen[other]), len(self._seen[split])
        if shared:
          told.append(
            f"{shared} of {own} photos of {split} are in {other}, too; scores on them say nothing "
            "about new photos"
          )
    return told
