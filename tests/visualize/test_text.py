"""Text that fits: cut only where it must be, and then visibly."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_jax.visualize import text


@settings(max_examples=40, deadline=None)
@given(words=st.text("abc iW", max_size=40), width=st.integers(0, 300))
def test_shorten_fits_and_keeps_what_fits(words, width):
  out = text.shorten(words, 14, width)
  assert text.font(14).getlength(out) <= width
  if text.font(14).getlength(words) <= width:
    assert out == words
  else:
    assert out == "" or (out.endswith("…") and words.startswith(out[:-1]))


def test_size_grows_with_the_picture():
  assert [text.size_for(x) for x in (100, 975, 1500)] == [13, 13, 20]
