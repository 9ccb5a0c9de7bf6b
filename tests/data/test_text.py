"""Text in the encodings of editors; refused by file and line."""

import codecs

import pytest

from hrnet_jax.data import text
from hrnet_jax.errors import UserError


@pytest.mark.parametrize(
  "data",
  [
    "Straße\r\nä\r\n".encode(),
    codecs.BOM_UTF8 + "Straße\nä\n\n".encode(),
    "Straße\nä".encode("utf-16"),
    codecs.BOM_UTF16_BE + " Straße\r\nä ".encode("utf-16-be"),
  ],
)
def test_encodings_and_line_ends(tmp_path, data):
  (tmp_path / "a.txt").write_bytes(data)
  assert text.read_lines(tmp_path / "a.txt") == [(1, "Straße"), (2, "ä")]


@pytest.mark.parametrize(
  ("data", "message"),
  [
    ("road\nStraße".encode("latin-1"), r"a\.txt, line 2: not text in UTF-8 \(byte 0xdf\); save"),
    (b"road\nsky\0", r"a\.txt, line 2: not text"),
    (b"x" * 40_000, r"a\.txt, line 1: 40000 characters; a line can have 200"),
    (b"x\n" * 101, r"a\.txt: 101 lines; there can be 100"),
  ],
)
def test_what_is_refused(tmp_path, data, message):
  (tmp_path / "a.txt").write_bytes(data)
  with pytest.raises(UserError, match=message):
    text.read_lines(tmp_path / "a.txt", most=100)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ('{"a": 1', r"a\.json: not valid JSON \(.*\); it may be cut off"),
    ("[" * 100_000, r"a\.json: JSON that is nested too deeply"),
    ("1" * 5000, r"a\.json: not valid JSON"),
  ],
)
def test_json(tmp_path, content, message):
  (tmp_path / "a.json").write_text('\ufeff{"ä": [1]}')
  assert text.read_json(tmp_path / "a.json") == {"ä": [1]}
  (tmp_path / "a.json").write_text(content)
  with pytest.raises(UserError, match=message):
    text.read_json(tmp_path / "a.json")
