"""Names of landmarks: order, sides and numbers."""

from hrnet_jax.tasks.landmarks.datasets import face_points


def test_jaw_counts_away_from_the_chin():
  assert face_points.jaw(5) == (
    "left jaw 2",
    "left jaw 1",
    "chin",
    "right jaw 1",
    "right jaw 2",
  )


def test_eyes_run_clockwise_from_opposite_corners():
  left = face_points.eye("left", ("outer", "inner"))
  right = face_points.eye("right", ("outer", "inner"))
  assert left == (
    "left eye outer corner",
    "left eye upper lid outer",
    "left eye upper lid inner",
    "left eye inner corner",
    "left eye lower lid inner",
    "left eye lower lid outer",
  )
  assert right[0] == "right eye inner corner"
  assert right[3] == "right eye outer corner"
  assert right[-1] == "right eye lower lid inner"
  assert {name.replace("left", "right") for name in left} == set(right)


def test_mouth_has_corners_opposite_each_other():
  names = face_points.mouth()
  assert len(set(names)) == 20
  assert (names[0], names[3], names[6], names[9]) == (
    "left lips corner",
    "lips top",
    "right lips corner",
    "lips bottom",
  )
  assert (names[12], names[14], names[16], names[18]) == (
    "left mouth corner",
    "mouth top",
    "right mouth corner",
    "mouth bottom",
  )


def test_brow_and_nose():
  assert face_points.brow("left", 2, "lower brow") == ("left lower brow 1", "left lower brow 2")
  assert len(set(face_points.nose())) == 9
  assert face_points.nose()[6] == "nose base"
