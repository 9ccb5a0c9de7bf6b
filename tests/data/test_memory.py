"""What the host has left, as Linux says it."""

from hrnet_jax.data import memory


def test_what_the_host_has_left(tmp_path):
  assert memory.host_free_bytes(tmp_path) > 0  # nobody says
  (tmp_path / "proc/self").mkdir(parents=True)
  (tmp_path / "proc/meminfo").write_text("MemTotal:  9 kB\nMemAvailable:   2048 kB\n")
  assert memory.host_free_bytes(tmp_path) == 2**21
  group = tmp_path / "sys/fs/cgroup"
  group.mkdir(parents=True)
  (group / "memory.max").write_text("max\n")
  assert memory.host_free_bytes(tmp_path) == 2**21
  for name, value in (("max", "1000"), ("current", "900"), ("stat", "inactive_file 50\n")):
    (group / f"memory.{name}").write_text(value)
  assert memory.host_free_bytes(tmp_path) == 150
