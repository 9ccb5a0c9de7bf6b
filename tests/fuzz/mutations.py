"""Damages and forges files at random: `(bytes, random.Random) -> bytes`, the same for a seed."""

import copy
import json
import random
import re
import struct
from typing import Any
import zlib

EXTREME = (
  0, -1, 1, 2, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30,
  10**400, 0.5, -0.5, 1e-300, 1e9, 3e8, 1e300, 1e308, -1e308, float("nan"), float("inf"),
)  # fmt: skip
TEXTS = (
  "", " ", "0", "-1", "1e999", "nan", "99999999999999999999", "../../x.png", "/etc/passwd", "a\\b",
  "\0", "\n", "\x1b[31m", "\u202e", "\ud800", "x" * 300, "é", "e\u0301", "a.jpg/b.jpg", "CON", "#",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+\.?\d*")
_LONG = 3000  # of blanks, commas and brackets


def damage(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
  """Flips bits, cuts, doubles, removes, splices, or sets whole fields to extremes; 1 to 4 times.

  Args:
    data: of a file.
    rng: decides.
    other: a file of the same kind, of which pieces are taken.
  """
  for _ in range(rng.choice((1, 1, 1, 2, 4))):
    data = rng.choice((_flip, _flip, _cut, _double, _remove, _splice, _field, _zeros))(
      data, rng, other
    )
  return data


def damage_png(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
  """As `damage`; every other time the checksums are made right, so that decoders see the damage."""
  data = damage(data, rng, other)
  if rng.random() < 0.5:
    return data
  changed, at = bytearray(data), 8
  while at + 12 <= len(changed):
    end = at + 8 + int.from_bytes(changed[at : at + 4], "big")
    changed[end : end + 4] = zlib.crc32(changed[at + 4 : end]).to_bytes(4, "big")
    at = end + 4
  return bytes(changed)


def damage_text(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
  """As `damage`; or swaps numbers, words, lines and encodings."""
  for _ in range(rng.choice((1, 1, 2, 3))):
    data = rng.choice((_number, _number, _word, _line, _line, _encode, _run, damage))(
      data, rng, other
    )
  return data


def damage_json(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
  """As `damage_text`; or, mostly, replaces, removes, doubles and nests values."""
  if rng.random() < 0.25:
    return damage_text(data, rng, other)
  try:
    content = json.loads(data)
  except (ValueError, RecursionError):
    return damage_text(data, rng, other)
  for _ in range(rng.choice((1, 1, 1, 2, 3))):
    content = _replace_value(content, rng)
  return json.dumps(content).encode()


def damage_table(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
  """As `damage_text`; or, mostly, replaces, removes, doubles and swaps cells and columns."""
  if rng.random() < 0.3:
    return damage_text(data, rng, other)
  rows = [line.split(b",") for line in data.splitlines()]
  for _ in range(rng.choice((1, 1, 2))):
    row = rng.choice(rows)
    column = rng.randrange(len(row)) if row else 0
    kind = rng.randrange(6)
    if kind < 3 and row:
      row[column] = _text_of(rng).encode("utf-8", "surrogatepass")
    elif kind == 3:
      for each in rows:
        del each[column : column + 1]
    elif kind == 4:
      row[column:column] = row[column : column + 1] * rng.choice((1, 2, 500))
    else:
      rows.insert(rng.randrange(len(rows)), rng.choice(rows))
  return b"\n".join(b",".join(row) for row in rows)


def _replace_value(content: Any, rng: random.Random) -> Any:
  """The content with one value, at a random place of a random depth, replaced or removed."""
  place: list[tuple[Any, Any]] = []
  node = content = copy.deepcopy(content)
  while isinstance(node, dict | list) and node and (not place or rng.random() < 0.8):
    key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    place.append((node, key))
    node = node[key]
  if not place:
    return rng.choice((None, [], {}, 0, "", [content]))
  parent, key = place[-1]
  kind = rng.randrange(10)
  if kind == 0:
    del parent[key]
  elif kind == 1 and isinstance(parent, list):
    parent.insert(key, copy.deepcopy(rng.choice(parent)))
  elif kind == 2:
    parent[key] = [node] if rng.random() < 0.5 else {"counts": node, "size": [2, 2]}
  elif kind == 3:
    parent[key] = rng.choice((None, [], {}, True, [[]], [None]))
  elif kind == 4:
    other = rng.choice(place)
    parent[key] = copy.deepcopy(other[0]) if len(json.dumps(other[0])) < 10_000 else node
  elif kind < 7:
    parent[key] = rng.choice(TEXTS)
  else:
    parent[key] = rng.choice(EXTREME)
  return content


def _text_of(rng: random.Random) -> str:
  value = rng.choice((*EXTREME, *TEXTS))
  return str(value) if not isinstance(value, int) or abs(value) < 10**300 else "9" * 400


def _flip(data: bytes, rng: random.Random, other: bytes) -> bytes:
  changed = bytearray(data)
  for _ in range(rng.choice((1, 1, 2, 8))):
    if changed:
      changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
  return bytes(changed)


def _cut(data: bytes, rng: random.Random, other: bytes) -> bytes:
  return data[: rng.randrange(len(data) + 1)]


def _piece(data: bytes, rng: random.Random) -> tuple[int, int]:
  start = rng.randrange(len(data) + 1)
  return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, len(data))))


def _double(data: bytes, rng: random.Random, other: bytes) -> bytes:
  start, end = _piece(data, rng)
  return data[:end] + data[start:end] * rng.choice((1, 1, 3, 20)) + data[end:]


def _remove(data: bytes, rng: random.Random, other: bytes) -> bytes:
  start, end = _piece(data, rng)
  return data[:start] + data[end:]


def _splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
  source = other or data
  start, end = _piece(source, rng)
  at, until = _piece(data, rng)
  return data[:at] + source[start:end] + data[until:]


def _field(data: bytes, rng: random.Random, other: bytes) -> bytes:
  """Sets two, four or eight bytes, near the beginning more often, to an extreme number."""
  size, code = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
  if len(data) < size:
    return data
  at = rng.randrange(min(len(data) - size + 1, rng.choice((64, 256, len(data)))))
  value = rng.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 30000, 2**31 - 1, 2**32 - 1, 2**63, -1))
  field = struct.pack(rng.choice("<>") + code, value & (2 ** (8 * size) - 1))
  return data[:at] + field + data[at + size :]


def _zeros(data: bytes, rng: random.Random, other: bytes) -> bytes:
  start, end = _piece(data, rng)
  return data[:start] + bytes([rng.choice((0, 255))]) * (end - start) + data[end:]


def _number(data: bytes, rng: random.Random, other: bytes) -> bytes:
  found = list(_NUMBER.finditer(data))
  if not found:
    return damage(data, rng, other)
  match = rng.choice(found)
  return data[: match.start()] + _text_of(rng).encode("utf-8", "replace") + data[match.end() :]


def _word(data: bytes, rng: random.Random, other: bytes) -> bytes:
  at = rng.randrange(len(data) + 1)
  return data[:at] + rng.choice(TEXTS).encode("utf-8", "surrogatepass") + data[at:]


def _line(data: bytes, rng: random.Random, other: bytes) -> bytes:
  lines = data.split(b"\n")
  at = rng.randrange(len(lines))
  kind = rng.randrange(4)
  if kind == 0:
    del lines[at]
  elif kind == 1:
    lines.insert(at, rng.choice(lines))
  elif kind == 2:
    lines.insert(at, b"")
  else:
    lines[at:at] = [b"%d" % number for number in range(rng.choice((10, 2000, 50_000)))]
  return b"\n".join(lines)


def _encode(data: bytes, rng: random.Random, other: bytes) -> bytes:
  text = data.decode("utf-8", "replace")
  return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp500")), "replace")


def _run(data: bytes, rng: random.Random, other: bytes) -> bytes:
  at = rng.randrange(len(data) + 1)
  what = rng.choice((b" ", b"\t", b",", b"[", b'{"a":', b'"', b"\n", b"9", b"#"))
  return data[:at] + what * rng.choice((_LONG, 20 * _LONG)) + data[at:]
