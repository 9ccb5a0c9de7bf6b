"""ImageNet as TFDS itself prepares it, in miniature."""

import io
import json
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from hrnet_jax.data import images, prepared

NAMES = ["n01440764", "n01443537"]


class Imagenet2012(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """The features of the original."""

  VERSION = tfds.core.Version("5.1.0")

  def _info(self):
    features = {
      "image": tfds.features.Image(encoding_format="jpeg"),
      "label": tfds.features.ClassLabel(names=NAMES),
      "file_name": tfds.features.Text(),
    }
    return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples(3), "validation": self._generate_examples(2)}

  def _generate_examples(self, count):
    for index in range(count):
      photo = np.full((8, 9, 3), 20 * index, np.uint8)
      name = f"{count}_{index}.JPEG"
      yield name, {"image": jpeg(photo), "label": NAMES[index % 2], "file_name": name}


def jpeg(photo):
  return io.BytesIO(images.encode_jpeg(photo, 90))


@pytest.fixture
def data_dir(tmp_path):
  Imagenet2012(data_dir=tmp_path, file_format="array_record").download_and_prepare()
  return tmp_path


def test_records_are_as_our_own(data_dir):
  dataset = prepared.open_dataset("imagenet2012", data_dir)
  assert dataset.class_names == tuple(NAMES)
  assert dataset.splits() == {"train": 3, "val": 2}
  source = pickle.loads(pickle.dumps(dataset.source("train")))
  assert len(source) == 3
  for record in source:
    assert set(record) == {"image", "label", "name"}
    index = int(record["name"][2])
    assert record["label"] == index % 2
    assert type(record["label"]) is int
    assert abs(int(images.decode_image(record["image"], "")[0, 0, 0]) - 20 * index) < 3
  assert len(dataset.source("val")) == 2
  assert dataset.fingerprint == prepared.open_dataset("imagenet2012", data_dir).fingerprint
  with pytest.raises(ValueError, match="has no split 'validation'; known: train, val"):
    dataset.source("validation")
  with pytest.raises(ValueError, match="does not tell the sizes"):
    dataset.max_size("train")


def test_absent_or_in_another_format(data_dir, tmp_path):
  with pytest.raises(FileNotFoundError, match=r"is not in .*\n.*--file_format=array_record"):
    prepared.open_dataset("imagenet2012", tmp_path / "elsewhere")
  path = data_dir / "imagenet2012/5.1.0/dataset_info.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "tfrecord"}))
  with pytest.raises(ValueError, match="prepared as tfrecord, not as array_record"):
    prepared.open_dataset("imagenet2012", data_dir)
  with pytest.raises(ValueError, match="'imagenet2012' is not prepared here: TFDS prepares it"):
    prepared.prepare("imagenet2012", data_dir)
