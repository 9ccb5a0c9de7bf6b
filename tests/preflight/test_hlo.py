"""Reading compiled programs: layouts, loops, and that the sums agree with the compiler's own."""

import re

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.preflight import hlo

# Cut down from what the compilers print; the TPU's tells no trip count.
LOOPS = """HloModule jit_f, is_scheduled=true

%wrapped_compare (a.1: s32[], b.1: s32[]) -> pred[] {
  %a.1 = s32[] parameter(0)
  %b.1 = s32[] parameter(1)
  ROOT %lt.1 = pred[] compare(%a.1, %b.1), direction=LT
}

%inner_body (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.1 = (s32[], /*index=1*/f32[8]{0:T(128)S(1)}) parameter(0)
  %x.1 = f32[8]{0:T(128)S(1)} get-tuple-element(%p.1), index=1
  %i.1 = s32[]{:T(128)} get-tuple-element(%p.1), index=0
  %twice.1 = f32[8]{0:T(128)S(1)} add(%x.1, %x.1)
  ROOT %t.1 = (s32[], f32[8]{0:T(128)S(1)}) tuple(%i.1, %twice.1)
}

%inner_condition (p.2: (s32[], f32[8])) -> pred[] {
  %c.2 = s32[]{:T(128)} constant(5)
  %p.2 = (s32[], f32[8]{0:T(128)S(1)}) parameter(0)
  %i.2 = s32[]{:T(128)} get-tuple-element(%p.2), index=0
  ROOT %less.2 = pred[] fusion(%i.2, %c.2), kind=kLoop, calls=%wrapped_compare
}

%outer_body (p.3: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.3 = (s32[], f32[8]{0}) parameter(0)
  ROOT %while.3 = (s32[], f32[8]{0}) while(%p.3), condition=%inner_condition, body=%inner_body
}

%outer_condition (p.4: (s32[], f32[8])) -> pred[] {
  %p.4 = (s32[], f32[8]{0}) parameter(0)
  ROOT %never.4 = pred[] constant(false)
}

%not_called (p.5: f32[8]) -> f32[8] {
  ROOT %p.5 = f32[8]{0} parameter(0)
}

ENTRY %main (arg: f32[8]) -> f32[8] {
  %arg = f32[8]{0} parameter(0), metadata={op_name="x"}
  %zero = s32[] constant(0)
  %start = (s32[], f32[8]{0}) tuple(%zero, %arg)
  %while.9 = (s32[], f32[8]{0}) while(%start), condition=%outer_condition, body=%outer_body, TRIPS
  ROOT %out = f32[8]{0} get-tuple-element(%while.9), index=1
}
"""
KNOWN = LOOPS.replace("TRIPS", 'backend_config={"known_trip_count":{"n":"3"}}')


@pytest.mark.parametrize(
  ("text", "size", "stored", "space"),
  [
    ("f32[3,3,64,48]{3,2,1,0}", 4 * 9 * 64 * 48, 4 * 9 * 64 * 48, 0),
    ("pred[7]{0}", 7, 7, 0),
    ("f32[]{:T(128)}", 4, 512, 0),
    ("bf16[2,20,18]{2,1,0:T(8,128)(2,1)S(1)}", 2 * 2 * 20 * 18, 2 * 2 * 24 * 128, 1),
    ("f32[2,20,18]{0,1,2:T(2,128)}", 4 * 2 * 20 * 18, 4 * 128 * 20 * 18, 0),
    ("u8[64,5]{0,1:T(8,128)(4,1)}", 320, 128 * 8, 0),
    ("s4[16]{0}", 8, 8, 0),
    ("f8e4m3fn[16]{0}", 16, 16, 0),
  ],
)
def test_sizes_follow_type_and_layout(text: str, size: int, stored: int, space: int) -> None:
  (array,) = hlo.arrays(text)
  assert (array.size, array.stored, array.space) == (size, stored, space)
  assert array.traffic == (0 if space else stored)


def test_tuples_and_tokens() -> None:
  found = hlo.arrays("(f32[8,64]{1,0:T(8,128)}, /*index=1*/(s32[2]{0}, token[]), u32[]{:S(2)})")
  assert [a.dtype for a in found] == ["f32", "s32", "token", "u32"]
  assert [a.size for a in found] == [2048, 8, 0, 4]


def test_loops_are_counted_with_their_rounds() -> None:
  program = hlo.parse(KNOWN)
  runs = {name: c.runs for name, c in program.computations.items()}
  assert runs["outer_body"] == 3
  assert runs["inner_body"] == 15  # 3 rounds of 5, and the 5 is read from the condition
  assert "not_called" not in runs
  assert program.unknown_loops == 0
  inside = {name for name, c in program.computations.items() if c.inside}
  assert inside == {"wrapped_compare"}
  (argument,) = program.arguments
  assert argument.results == hlo.arrays("f32[8]{0}")


def test_a_loop_of_unknown_length_is_one_round_and_reported() -> None:
  program = hlo.parse(LOOPS.replace("TRIPS", "backend_config={}"))
  assert program.computations["inner_body"].runs == 5
  assert program.unknown_loops == 1


def test_text_of_something_else_is_refused() -> None:
  with pytest.raises(ValueError, match="ENTRY"):
    hlo.parse("HloModule empty")


def test_arguments_add_up_to_the_compilers_own_sum() -> None:
  shapes = [jax.ShapeDtypeStruct((5, 7), jnp.bfloat16), jax.ShapeDtypeStruct((3,), jnp.int8)]
  compiled = jax.jit(lambda x, y: (x * 2, y + 1)).lower(*shapes).compile()
  program = hlo.parse(compiled.as_text())
  stored = sum(a.stored for line in program.arguments for a in line.results)
  assert stored == compiled.memory_analysis().argument_size_in_bytes == 73


# From a real program: f calls g and then g2, which both call h.
FRAMES = """HloModule jit_f

FileNames
1 "f.py"
2 "g.py"
3 "g2.py"
4 "h.py"

FunctionNames
1 "main"

FileLocations
1 {file_name_id=1 function_name_id=1 line=9 end_line=9 column=2 end_column=35}
2 {file_name_id=3 function_name_id=1 line=7 end_line=7 column=9 end_column=17}
3 {file_name_id=2 function_name_id=1 line=5 end_line=5 column=9 end_column=17}
4 {file_name_id=4 function_name_id=1 line=3 end_line=3 column=17 end_column=27}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=2}
4 {file_location_id=4 parent_frame_id=4}
5 {file_location_id=4 parent_frame_id=3}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %a = f32[8]{0} cosine(%x), metadata={op_name="jit(f)/cos" stack_frame_id=4}
  ROOT %b = f32[8]{0} add(%a, %x), metadata={op_name="jit(f)/Net/add" stack_frame_id=5}
}
"""


def test_instructions_tell_the_code_that_made_them() -> None:
  program = hlo.parse(FRAMES)
  x, a, b = (line for _, line in program.run())
  assert [line.op_name for line in (x, a, b)] == ["", "jit(f)/cos", "jit(f)/Net/add"]
  assert list(program.source_files(x)) == []
  assert list(program.source_files(a)) == ["h.py", "g.py", "f.py"]
  assert list(program.source_files(b)) == ["h.py", "g2.py", "f.py"]


def test_frames_may_also_be_counted_without_the_offset() -> None:
  text = re.sub(r"parent_frame_id=(\d)", lambda m: f"parent_frame_id={int(m[1]) - 1}", FRAMES)
  program = hlo.parse(text)
  _, a, _ = (line for _, line in program.run())
  assert list(program.source_files(a)) == ["h.py", "g.py", "f.py"]
