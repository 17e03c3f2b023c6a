import numpy as np
import pytest

from pipeline.dataset.packed import Geometry, write_array


def test_images_are_written_one_at_a_time(tmp_path):
    images = (np.full((3, 4), value, dtype=np.float32) for value in range(5))
    write_array(tmp_path / "a.npy", images, 5, "float32")
    array = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert array.shape == (5, 3, 4)
    assert array[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_wrong_shape_or_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image of \(2, 2\) among \(3, 3\)"):
        write_array(tmp_path / "a.npy", [np.zeros((3, 3)), np.zeros((2, 2))], 2, "float32")
    with pytest.raises(ValueError, match="1 images where 2"):
        write_array(tmp_path / "a.npy", [np.zeros((3, 3))], 2, "float32")
    with pytest.raises(ValueError, match="0 images where 1"):
        write_array(tmp_path / "a.npy", [], 1, "float32")


def test_geometry_is_read_as_it_was_written(tmp_path):
    made = Geometry.of_made_images(2, (5, 6))
    made.write(tmp_path)
    read = Geometry.read(tmp_path)
    assert read.raw_shape.tolist() == [[5, 6], [5, 6]]
    np.testing.assert_array_equal(read.to_raw[1], np.eye(3))
    for name, array in vars(made).items():
        np.testing.assert_array_equal(getattr(read, name), array)
    assert np.isnan(read.pixel_mm).all()
