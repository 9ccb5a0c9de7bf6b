"""Collectives of saved lines and of programs that are really compiled, with bytes by hand."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
import numpy as np
import pytest

from hrnet_jax.preflight import collectives, hlo
from hrnet_jax.preflight.collectives import Collective

# As a TPU's compiler prints them: halves of pairs, tuples, tiles, groups as axes of a mesh.
SAVED = """HloModule jit_f

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

ENTRY %main (x: f32[64], y: bf16[3,3,4]) -> f32[64] {
  %x = f32[64]{0:T(128)} parameter(0)
  %y = bf16[3,3,4]{2,1,0:T(4,128)(2,1)} parameter(1)
  %both = (f32[64]{0:T(128)S(1)}, bf16[3,3,4]{2,1,0:T(4,128)(2,1)S(1)}) all-reduce(%x, %y), channel_id=1, replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}, use_global_device_ids=true, to_apply=%add
  %start = f32[64]{0:T(128)} all-reduce-start(%x), channel_id=2, replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add
  %done = f32[64]{0:T(128)} all-reduce-done(%start)
  %permute = (f32[64]{0:T(128)}, f32[64]{0:T(128)}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x), channel_id=3, source_target_pairs={{0,1},{1,0}}
  %permuted = f32[64]{0:T(128)} collective-permute-done(%permute)
  %gather = (f32[64]{0:T(128)}, f32[512]{0:T(128)}) all-gather-start(%x), channel_id=4, replica_groups=[1,8]<=[8], dimensions={0}
  %gathered = f32[512]{0:T(128)} all-gather-done(%gather)
  %scatter = f32[16]{0:T(128)} reduce-scatter(%x), channel_id=5, replica_groups=[2,4]<=[8], dimensions={0}, to_apply=%add
  ROOT %out = f32[64]{0:T(128)} add(%x, %done)
}
"""  # noqa: E501


def test_saved_program() -> None:
  assert collectives.find(hlo.parse(SAVED), devices=8) == [
    # 64 values and 36 half as large over 4 devices: 328 * 2 * 3/4; 256 over 2: 256 * 2 * 1/2.
    Collective("all-reduce", 2, 328 + 256, 492 + 256),
    Collective("all-gather", 1, 256, 7 * 256),
    Collective("reduce-scatter", 1, 256, 192),
    Collective("collective-permute", 1, 256, 256),
  ]


@pytest.mark.parametrize(
  ("groups", "size"),
  [
    ("replica_groups={{0,4},{1,5},{2,6},{3,7}}", 2),
    ("replica_groups=[2,4]<=[4,2]T(1,0)", 4),
    ("replica_groups={}", 8),
    ("to_apply=%add", 8),
    ("replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_0','axis_1'}", 8),
    ("replica_groups=mesh['axis_0'=8] {'axis_0':(1)4}", 4),
  ],
)
def test_group_sizes(groups: str, size: int) -> None:
  assert collectives.group_size(groups, 8) == size


def test_a_compiled_program_with_each_kind() -> None:
  mesh = Mesh(np.array(jax.devices()).reshape(8), ("d",))

  @functools.partial(
    jax.shard_map,
    mesh=mesh,
    in_specs=PartitionSpec("d"),
    out_specs=PartitionSpec("d"),
    check_vma=False,
  )
  def talk(x: jax.Array) -> jax.Array:
    def round_of_sums(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
      return carry * jax.lax.psum(carry, "d"), None

    x, _ = jax.lax.scan(round_of_sums, x, None, length=5)
    ring = [(i, (i + 1) % 8) for i in range(8)]
    x = x + jax.lax.ppermute(x, "d", ring)
    x = x + jax.lax.all_gather(x, "d").sum(0)
    x = x + jax.lax.all_to_all(x.reshape(8, 2), "d", 0, 0).reshape(16)
    return x + jax.lax.psum_scatter(x, "d", tiled=True).sum()

  shape = jax.ShapeDtypeStruct((8 * 16,), jnp.float32)
  program = hlo.parse(jax.jit(talk).lower(shape).compile().as_text())
  found = {c.kind: c for c in collectives.find(program, devices=8)}
  put_in = 16 * 4
  assert found["all-reduce"] == Collective("all-reduce", 5, 5 * put_in, 5 * 112)
  assert found["collective-permute"] == Collective("collective-permute", 1, put_in, put_in)
  assert found["all-gather"] == Collective("all-gather", 1, put_in, 7 * put_in)
  assert found["all-to-all"] == Collective("all-to-all", 1, put_in, 56)
  assert found["reduce-scatter"] == Collective("reduce-scatter", 1, put_in, 56)


def test_one_device_says_nothing() -> None:
  program = hlo.parse(jax.jit(jnp.sin).lower(jnp.ones(4)).compile().as_text())
  assert collectives.find(program, devices=1) == []
