"""Landmark errors by split, part and normaliser: `errors (N,)` -> report, table, picture."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from hrnet_jax.errors import UserError
from hrnet_jax.tasks.landmarks import metrics
from hrnet_jax.visualize.curves import error_curve

_MEASURES = ("nme", "failure_rate", "auc")
_WORDS = {"box_size": "the box's side", "box_diagonal": "the landmarks' diagonal"}


@dataclasses.dataclass(frozen=True)
class Split:
  """The evaluated examples.

  Attributes:
    name: of the split.
    num_examples: in it.
    parts: positions of the examples of its named parts.
  """

  name: str = ""
  num_examples: int = 0
  parts: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoreboard:
  """Makes figures of the errors of all examples.

  The errors come as sums of the task: `errors`, for each normaliser `(N,)`; `seen (N,)`, how often
  each example was evaluated; `loss`, added up. Where landmarks are missing, `left_out`, for each
  normaliser `(N,)` how often an example had no size: it counts in no figure by that normaliser, and
  how many there are is told.

  Attributes:
    split: what is evaluated.
    normalizers: what errors are divided by; the first is that of the main figures.
    threshold: errors above it are failures; also the end of the area under the curve.
  """

  split: Split
  normalizers: tuple[str, ...]
  threshold: float

  def report(self, sums: Mapping[str, Any]) -> dict[str, Any]:
    """Figures by the first normaliser, for the split and its parts, and the mean error by others.

    All are fractions. `negative_nme` orders checkpoints. A normaliser by which some face has no
    size is left out, unless it is the first; so are parts of which no example was seen or scored.

    Raises:
      ValueError: by the first normaliser no face has a size.
    """
    seen, first = int((sums["seen"] > 0).sum()), self.normalizers[0]
    left_out = {name: int(self._left_out(sums, name).sum()) for name in self.normalizers}
    if seen and left_out[first] == seen:
      raise UserError(
        f"all {seen} faces lack landmarks of {in_words(first)}, so that errors cannot be divided "
        "by it; set eval.scoring.normalizer to box_size"
      )
    scores = self._scores(sums)
    whole = scores[self.split.name]
    report = {"negative_nme": -whole.nme}
    report |= {measure: getattr(whole, measure) for measure in _MEASURES}
    report |= {"threshold": self.threshold, "images": whole.count}
    report["loss"] = float(sums["loss"] / seen)
    report["nme_by_normalizer"] = self._by_normalizer(sums)
    if any(left_out.values()):
      report["images_left_out"] = left_out[first]
      report["images_left_out_by_normalizer"] = left_out
    if len(scores) > 1:
      for measure in _MEASURES:
        report[f"{measure}_by_part"] = {k: getattr(s, measure) for k, s in scores.items()}
      report["images_by_part"] = {k: s.count for k, s in scores.items()}
      if left_out[first]:
        without = self._left_out(sums, first)
        by_part = {k: int(without[list(of)].sum()) for k, of in self.split.parts.items()}
        report["images_left_out_by_part"] = {self.split.name: left_out[first]} | by_part
    return report

  def table(self, report: Mapping[str, Any]) -> str:
    """A line for the split and each part, then the error by every normaliser, in percent."""
    whole, others = self.split.name, report["nme_by_normalizer"]
    parts = report.get("images_by_part", {whole: report["images"]})
    width = max(len("split"), *map(len, [*parts, *others]))
    lines = [f"{'split':<{width}}  NME %  failures %  AUC %  images"]
    for part, count in parts.items():
      found = (report.get(f"{m}_by_part", {part: report[m]})[part] for m in _MEASURES)
      nme, rate, auc = (100 * x for x in found)
      lines.append(f"{part:<{width}}  {nme:5.2f}  {rate:10.2f}  {auc:5.2f}  {count:6d}")
    lines.append("-" * len(lines[0]))
    lines.append(
      f"errors divided by {self.normalizers[0]}; failures above {100 * self.threshold:g} %, AUC up "
      "to there"
    )
    for name, nme in others.items():
      lines.append(f"{name:<{width}}  {100 * nme:5.2f}  NME % of {whole}")
    for name, count in report.get("images_left_out_by_normalizer", {}).items():
      if count:
        words = in_words(name)
        lines.append(f"{count} images of {whole} lack landmarks of {words}: not scored by it")
    for part, count in report.get("images_left_out_by_part", {}).items():
      if count and part != whole:
        lines.append(f"{count} of them are in {part}")
    return "\n".join(lines)

  def chart(self, sums: Mapping[str, Any]) -> np.ndarray:
    """Cumulative errors of the split and its parts up to the threshold."""
    notes = {
      name: f"NME {100 * s.nme:.2f} %, AUC {100 * s.auc:.1f} %"
      for name, s in self._scores(sums).items()
    }
    return error_curve(
      {name: 100 * errors for name, errors in self._parts(sums).items()},
      100 * self.threshold,
      f"mean error of an image, in % of {in_words(self.normalizers[0])}",
      notes=notes,
      title="Cumulative error",
    )

  def _parts(self, sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Errors of the examples that were scored, of the whole split and then of its parts."""
    first = self.normalizers[0]
    errors, seen = sums["errors"][first], self._scored(sums, first)
    parts = {name: list(positions) for name, positions in self.split.parts.items()}
    found = {name: errors[positions][seen[positions]] for name, positions in parts.items()}
    return {self.split.name: errors[seen]} | {name: x for name, x in found.items() if len(x)}

  def _scores(self, sums: Mapping[str, Any]) -> dict[str, metrics.LandmarkScores]:
    return {name: metrics.scores(x, self.threshold) for name, x in self._parts(sums).items()}

  def _by_normalizer(self, sums: Mapping[str, Any]) -> dict[str, float]:
    scored = {name: self._scored(sums, name) for name in self.normalizers}
    means = {
      name: float(sums["errors"][name][of].mean()) for name, of in scored.items() if of.any()
    }
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}

  def _scored(self, sums: Mapping[str, Any], name: str) -> np.ndarray:
    """`(N,)` bool, which examples were seen and have a size by a normaliser."""
    return (sums["seen"] > 0) & ~self._left_out(sums, name)

  def _left_out(self, sums: Mapping[str, Any], name: str) -> np.ndarray:
    """`(N,)` bool, which examples lack landmarks of a normaliser; none where none is missing."""
    without = sums.get("left_out", {}).get(name, np.zeros_like(sums["seen"]))
    return without > 0


def in_words(normalizer: str) -> str:
  """The name of a normaliser in titles."""
  return _WORDS.get(normalizer, f"the {normalizer.replace('_', '-')} distance")
