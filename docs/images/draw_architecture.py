"""Draws the pictures of the architecture page as SVG: the layers, the network, the two paths.

  python docs/images/draw_architecture.py

Plain text from a few helpers, so that a change of a box is a readable difference.
"""

from collections.abc import Callable, Sequence
import pathlib

FOLDER = pathlib.Path(__file__).parent
INK, QUIET, LINE, PAPER = "#263238", "#607d8b", "#90a4ae", "#ffffff"
TEAL, ORANGE, BLUE, GREEN, GREY, VIOLET = (
  "#b2dfdb",
  "#ffccbc",
  "#bbdefb",
  "#c8e6c9",
  "#eceff1",
  "#e1d5f0",
)
BRANCHES = ("#80cbc4", "#90caf9", "#ffcc80", "#ef9a9a")


class Drawing:
  """Collects shapes; `text()` is the file."""

  def __init__(self, width: int, height: int, title: str):
    self._head = (
      f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
      f'font-family="system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif">\n'
      f"<title>{title}</title>\n"
      '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
      f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{QUIET}"/></marker></defs>\n'
      f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>'
    )
    self._shapes: list[str] = []

  def box(
    self,
    x: float,
    y: float,
    width: float,
    height: float,
    name: str,
    note: str | Sequence[str] = "",
    fill: str = GREY,
    dashed: bool = False,
  ) -> None:
    """A rounded box with a bold name, and lines of small text below it."""
    notes = [note] if isinstance(note, str) else list(note)
    notes = [line for line in notes if line]
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    self._shapes.append(
      f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" '
      f'stroke="{LINE}"{dash}/>'
    )
    middle, top = x + width / 2, y + height / 2 - 7.5 * len(notes) + 5
    self.label(middle, top, name, size=_fitting(name + "  ", width, 14), bold=True)
    for number, line in enumerate(notes):
      size = _fitting(line, width, 11.5)
      self.label(middle, top + 16 + 15 * number, line, size=size, colour=QUIET)

  def label(
    self,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 14,
    colour: str = INK,
    bold: bool = False,
    anchor: str = "middle",
  ) -> None:
    """One line of text."""
    weight = ' font-weight="600"' if bold else ""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    self._shapes.append(
      f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" '
      f'text-anchor="{anchor}"{weight}>{escaped}</text>'
    )

  def strip(self, x: float, y: float, width: float, height: float, name: str, note: str) -> None:
    """A bold name and small text behind it, on one line in the middle of a box."""
    size = 13 if width > 300 else 12
    behind = f'<tspan dx="10" font-size="11.5" fill="{QUIET}">{note}</tspan>' if note else ""
    self._shapes.append(
      f'<text x="{x + width / 2:g}" y="{y + height / 2 + 4.5:g}" font-size="{size}" fill="{INK}" '
      f'text-anchor="middle"><tspan font-weight="600">{name}</tspan>{behind}</text>'
    )

  def rotated(self, x: float, y: float, text: str) -> None:
    """Small text from bottom to top."""
    self._shapes.append(
      f'<text transform="translate({x:g} {y:g}) rotate(-90)" font-size="12" fill="{QUIET}" '
      f'text-anchor="middle">{text}</text>'
    )

  def arrow(self, *points: tuple[float, float], colour: str = QUIET, tip: bool = True) -> None:
    """A line through points, with a tip at the last."""
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    end = ' marker-end="url(#tip)"' if tip else ""
    self._shapes.append(
      f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"{end}/>'
    )

  def area(self, points: Sequence[tuple[float, float]], fill: str) -> None:
    """A filled outline."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    self._shapes.append(f'<polygon points="{path}" fill="{fill}" stroke="{LINE}"/>')

  def text(self) -> str:
    """The SVG file."""
    return "\n".join([self._head, *self._shapes, "</svg>"]) + "\n"


def _fitting(text: str, width: float, largest: float) -> float:
  """A size of the font at which the text fits; a letter is about 0.58 as wide as high."""
  return min(largest, round((width - 8) / (0.6 * max(len(text), 1)), 1))


# The layers of `tools/check_style.py` from the top: name -> what is in it.
LAYERS: tuple[dict[str, str], ...] = (
  {"cli": "hrnet train | eval | predict | prepare | ..."},
  {"tasks/*": "one folder each: model, loss, metrics, transforms, data sets, pictures, ..."},
  {
    "predict": "photos to files",
    "export": "one StableHLO file",
    "preflight": "does it fit a slice?",
    "parity": "beside PyTorch",
  },
  {"convert": "weights of PyTorch, both ways"},
  {"training": "loop, step, optimizer, schedule"},
  {"evaluation": "one pass over a split, one network or two compared"},
  {"tasks/interface": "Task: all that the rest calls of a task"},
  {"checkpoint": "save, restore, init_from"},
  {"run_log": "metrics.jsonl, TensorBoard"},
  {"distributed": "mesh and sharding, collectives, cluster, watchdog"},
  {"models": "backbone, exchange, necks, heads"},
  {"visualize": "curves, sheets, label maps", "data": "data sets, pipeline, batches"},
  {"ops": "array functions without parameters"},
  {
    "registry": "tasks and data sets by name",
    "config": "configs by name, overrides",
    "ownership": "one writer a folder",
  },
  {"files": "", "errors": "", "markdown": "", "task_spec": "", "ending": "", "processes": ""},
)
_FILLS = (TEAL, ORANGE, TEAL, TEAL, ORANGE, ORANGE, ORANGE, *[BLUE] * 3, *[GREEN] * 2, *[GREY] * 3)
_TASKS = ("segmentation", "landmarks", "detection", "classification", "pose", "yours")


def house() -> Drawing:
  """The packages in layers; a module imports only from layers below its own."""
  d = Drawing(960, 750, "The packages of hrnet_jax in layers")
  left, width, gap = 60.0, 840.0, 8
  d.area([(480, 14), (920, 82), (40, 82)], TEAL)
  (name, note), *_ = LAYERS[0].items()
  d.label(480, 54, name, bold=True)
  d.label(480, 72, note, size=11.5, colour=QUIET)
  y = 92.0
  for layer, fill in zip(LAYERS[1:], _FILLS[1:], strict=True):
    if "tasks/*" in layer:
      d.box(left, y, width, 100, "", "", "#fff3e0")
      d.strip(left, y, width, 34, "tasks/*", layer["tasks/*"])
      each = (width - gap * (len(_TASKS) + 1)) / len(_TASKS)
      for number, task in enumerate(_TASKS):
        note = {"pose": "the network alone", "yours": "a plug-in"}.get(task, "")
        x, mine = left + gap + number * (each + gap), task == "yours"
        d.box(x, y + 34, each, 58, task, note, PAPER if mine else ORANGE, dashed=mine)
      y += 100 + gap
      continue
    each = (width - gap * (len(layer) - 1)) / len(layer)
    for number, (name, note) in enumerate(layer.items()):
      x = left + number * (each + gap)
      d.box(x, y, each, 34, "", "", fill)
      d.strip(x, y, each, 34, name, note)
    y += 34 + gap
  d.arrow((36, 110), (36, y - gap))
  d.rotated(24, 420, "imports go down only")
  return d


def network() -> Drawing:
  """HRNetV2: four branches that exchange, a neck, a head."""
  d = Drawing(960, 340, "HRNetV2 from image to outputs")
  d.box(16, 52, 76, 50, "image", "(B, H, W, 3)", GREY)
  d.box(116, 52, 70, 50, "stem", "2 convs", GREY)
  rows = [77.0, 143.0, 209.0, 275.0]
  stages = [(212, 74, "stage 1", 1), (326, 96, "stage 2", 2), (462, 96, "stage 3", 3)]
  stages.append((598, 96, "stage 4", 4))
  for start, (x, width, name, count) in enumerate(stages):
    d.label(x + width / 2, 34, name, bold=True)
    for branch in range(count):
      fill = BRANCHES[branch]
      d._shapes.append(
        f'<rect x="{x:g}" y="{rows[branch] - 20:g}" width="{width:g}" height="40" rx="6" '
        f'fill="{fill}" stroke="{LINE}"/>'
      )
      text = "bottlenecks" if start == 0 else "blocks"
      d.label(x + width / 2, rows[branch] + 4, text, size=11.5)
    if start + 1 < len(stages):
      after = stages[start + 1][0]
      for source in range(count):
        for target in range(count + 1):
          if source == target or start > 0 or target == 1:
            d.arrow((x + width, rows[source]), (after - 2, rows[target]), colour=LINE, tip=False)
  d.arrow((92, 77), (114, 77))
  d.arrow((186, 77), (210, 77))
  d.box(734, 57, 88, 238, "neck", ("v1: finest map", "v2: all maps", "v2p: pyramid"), VIOLET)
  for y in rows:
    d.arrow((694, y), (732, y))
  d.box(854, 127, 90, 98, "head", ("pixels, OCR,", "R-CNN, classes"), ORANGE)
  d.arrow((822, 176), (852, 176))
  for branch, y in enumerate(rows):
    stride = 4 * 2**branch
    d.label(
      196 if branch else 249,
      y + (4 if branch else 34),
      f"stride {stride}",
      size=11,
      colour=QUIET,
      anchor="end" if branch else "middle",
    )
  d.label(
    480,
    326,
    "between stages every branch gets the sum of all branches, each resized to "
    "its grid (exchange unit)",
    size=12,
    colour=QUIET,
  )
  return d


def _steps(title: str, rows: Sequence[Sequence[tuple[str, Sequence[str], str]]]) -> Drawing:
  """Boxes from left to right, row after row."""
  width, gap, height, space = 170, 18, 84, 34
  most = max(map(len, rows))
  total = 30 + most * width + (most - 1) * gap
  d = Drawing(total, 30 + len(rows) * height + (len(rows) - 1) * space, title)
  for line, row in enumerate(rows):
    y = 15 + line * (height + space)
    for number, (name, notes, fill) in enumerate(row):
      x = 15 + number * (width + gap)
      d.box(x, y, width, height, name, notes, fill)
      if number:
        d.arrow((x - gap, y + height / 2), (x - 2, y + height / 2))
    if line + 1 < len(rows):
      x, half = 15 + (len(row) - 1) * (width + gap) + width / 2, space / 2
      below = y + height
      d.arrow(
        (x, below),
        (x, below + half),
        (15 + width / 2, below + half),
        (15 + width / 2, below + space - 2),
      )
  return d


def image_path() -> Drawing:
  """From a file to a figure."""
  return _steps(
    "The path of an image",
    [
      [
        ("photo.jpg", ("and its annotation",), GREY),
        ("prepare", ("data/datasets, tasks/*/datasets", "checks every file"), GREEN),
        ("record", ("ArrayRecord; bytes", "of the file, untouched"), GREY),
        ("transform", ("tasks/*/transforms", "decode, crop, mirror"), ORANGE),
        ("batch", ("data/pipeline", "(B, H, W, 3) uint8"), GREEN),
      ],
      [
        ("devices", ("distributed/sharding", "split over the mesh"), BLUE),
        ("normalise", ("ops/normalize", "on the device"), GREY),
        ("network", ("models/network", "backbone, neck, head"), GREEN),
        ("loss or sums", ("tasks/*/task", "training or evaluation"), ORANGE),
        ("figures", ("report, pictures,", "metrics.jsonl"), BLUE),
      ],
    ],
  )


def config_path() -> Drawing:
  """From the command line to the objects that it describes."""
  d = Drawing(960, 250, "The path of a config value")
  row = [
    ("--config=NAME", ("--config.key=value",), GREY),
    ("cli", ("a file of configs/", "and the overrides"), TEAL),
    ("ConfigDict", ("plain values", "--print_config shows them"), GREY),
    ("training/setup", ("evaluation/setup", "take it apart"), ORANGE),
  ]
  for number, (name, notes, fill) in enumerate(row):
    x = 15 + number * 246.5
    d.box(x, 15, 190, 84, name, notes, fill)
    if number:
      d.arrow((x - 56.5, 57), (x - 2, 57))
  blocks = [
    ("model", "models/network", GREEN),
    ("loss", "tasks/*/task", ORANGE),
    ("data, transform", "data/inputs", GREEN),
    ("optimizer", "training/optimizer", ORANGE),
    ("mesh", "distributed/sharding", BLUE),
    ("checkpoint", "checkpoint/manager", BLUE),
  ]
  d.arrow((849.5, 99), (849.5, 136), tip=False)
  d.arrow((86, 136), (874, 136), tip=False)
  for number, (name, note, fill) in enumerate(blocks):
    x = 15 + number * 157.6
    d.box(x, 170, 142, 64, name, note, fill)
    d.arrow((x + 71, 136), (x + 71, 168))
  return d


PICTURES: dict[str, Callable[[], Drawing]] = {
  "house.svg": house,
  "network.svg": network,
  "image_path.svg": image_path,
  "config_path.svg": config_path,
}


def main() -> None:
  """Writes all pictures."""
  for name, draw in PICTURES.items():
    (FOLDER / name).write_text(draw().text())
    print(FOLDER / name)


if __name__ == "__main__":
  main()
