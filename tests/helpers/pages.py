"""The pages of the documentation: their code blocks, and the names in their text."""

from collections.abc import Iterator
import dataclasses
import pathlib
import re
import shlex
import textwrap

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"
QUICKSTART = ROOT / "docs/start/quickstart.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
# Pages whose commands run from top to bottom.
RUN = (
  QUICKSTART,
  ROOT / "docs/start/tour.md",
  ROOT / "docs/tutorials/segmentation.md",
  ROOT / "docs/tutorials/landmarks.md",
  ROOT / "docs/tutorials/detection.md",
  ROOT / "docs/tutorials/classification.md",
)
NOT_RUN = "not run here"  # in the title of a block that no test can run
OUTPUT = "expected output"
SNIPPET = "--8<--"

_BLOCK = re.compile(
  r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?\n'
  r"(?P<text>.*?)^(?P=indent)```$",
  re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMANDS = ("hrnet", "make", "python")


@dataclasses.dataclass(frozen=True)
class Block:
  """A code block.

  Attributes:
    page: where it is.
    language: `bash`, `python`, `text` and so on.
    title: the line above it, on the site.
    text: without indentation.
  """

  page: pathlib.Path
  language: str
  title: str
  text: str

  @property
  def runs(self) -> bool:
    """Whether a reader of the page can run it as it is."""
    return NOT_RUN not in self.title and SNIPPET not in self.text

  def commands(self) -> Iterator[list[str]]:
    """Command lines of a shell block as words, without comments."""
    joined = self.text.replace("\\\n", " ")
    for line in joined.splitlines():
      if words := shlex.split(line, comments=True):
        yield words


def name(page: pathlib.Path) -> str:
  """Short name of a page."""
  return page.relative_to(ROOT).as_posix()


def blocks(page: pathlib.Path) -> list[Block]:
  """All code blocks of a page, in order."""
  return [
    Block(page, match["language"], match["title"] or "", textwrap.dedent(match["text"]))
    for match in _BLOCK.finditer(page.read_text())
  ]


def inline(page: pathlib.Path) -> list[str]:
  """All pieces of code within the text of a page."""
  return _INLINE.findall(_BLOCK.sub("", page.read_text()))


def command_lines(page: pathlib.Path) -> Iterator[list[str]]:
  """Every command that a page shows, in blocks and within its text, as words."""
  for block in blocks(page):
    if block.language == "bash":
      yield from block.commands()
  for text in inline(page):
    if text.startswith(tuple(f"{command} " for command in _COMMANDS)) and text.count('"') % 2 == 0:
      yield shlex.split(text)
