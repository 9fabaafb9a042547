"""Tests that the crop recipe is stored, merged, and followed to equal pixels."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces import clip_crops
from dfjax.data.faces.clip_crops import crop_clips
from dfjax.data.faces.detectors import hash_detector
from dfjax.data.faces.extract import extract_record
from dfjax.data.faces.recipe import (
    RECIPE_FILE,
    CropRecipe,
    list_differences,
    make_metadata,
    merge_recipes,
    parse_recipe,
    read_crop_recipe,
)
from dfjax.data.faces.settings import ExtractionSettings, Override, check_settings, follow_recipe
from dfjax.data.faces.video import probe
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.index.split_index import split_index
from dfjax.data.store.flow_index import write_flow
from dfjax.data.store.pack import open_pack, pack
from dfjax.errors import InputError, UsageError

SAMPLING = Sampling(4, "stride", 2)
RECIPE = CropRecipe(margin=1.5, align=True, min_quality=(("score", 0.5),), every=2)


def write(path, recipe=None):
    row = make_record(video_id=path.stem, dataset="d", label=0)
    write_index(make_index([row]), path, command="test", metadata=make_metadata(recipe))
    return path


def test_an_index_holds_it_and_a_split_carries_it(tmp_path):
    index = write(tmp_path / "index.parquet", RECIPE)
    assert read_crop_recipe(index) == read_crop_recipe(tmp_path) == RECIPE
    split_index(index, tmp_path / "s.parquet", by="group", ratios=(1.0, 0.0, 0.0))
    assert read_crop_recipe(tmp_path / "s.parquet") == RECIPE
    assert read_crop_recipe(write(tmp_path / "old.parquet")) is None
    with pytest.raises(UsageError, match="no index at"):
        read_crop_recipe(tmp_path / "absent.parquet")


def test_unknown_keys_are_of_later_versions_and_wrong_values_are_damage(tmp_path):
    values = json.loads(make_metadata(RECIPE)["crop_recipe"])
    assert parse_recipe(values | {"of_tomorrow": 1}) == RECIPE
    for wrong in ({"margin": "wide"}, {"margin": 0}, {"detector": None}, {"min_quality": 3}):
        with pytest.raises(UsageError, match="crop recipe is damaged"):
            parse_recipe(values | wrong)
    write(tmp_path / "index.parquet")
    (tmp_path / RECIPE_FILE).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        read_crop_recipe(tmp_path)


def test_what_was_cut_alike_merges_and_what_was_not_is_refused():
    other = dataclasses.replace(RECIPE, faces="mask", every=3, min_quality=())
    merged = merge_recipes([("a", None), ("b", RECIPE), ("c", other), ("d", RECIPE)])
    assert merged == dataclasses.replace(RECIPE, faces=None, every=None, min_quality=())
    assert merge_recipes([("a", None)]) is None
    with pytest.raises(UsageError, match=r"b and c .*margin: 1.5 and 1.3"):
        merge_recipes([("b", RECIPE), ("c", dataclasses.replace(RECIPE, margin=1.3))])
    dis, flo = (dataclasses.replace(RECIPE, flow_method=m) for m in ("dis", "flo"))
    assert merge_recipes([("a", RECIPE), ("b", dis)]) == dis
    with pytest.raises(UsageError, match="flow_method: dis and flo"):
        merge_recipes([("a", dis), ("b", flo)])
    files = [CropRecipe("precomputed", detector_sha256=digest) for digest in "ab"]
    assert merge_recipes(zip("ab", files)).detector_sha256 is None
    haar, yunet = (CropRecipe(name, detector_sha256=name) for name in ("haar", "yunet"))
    assert list_differences(haar, yunet) == ["detector: haar and yunet"]
    newer = dataclasses.replace(haar, detector_sha256="b")
    assert list_differences(haar, newer) == ["detector_sha256: haar and b"]
    whole = [(name, CropRecipe("none", margin=margin)) for name, margin in (("a", 1.3), ("b", 2.0))]
    assert merge_recipes(whole) == CropRecipe("none")


def test_settings_follow_it_and_differences_are_said():
    recipe = ExtractionSettings(margin=1.5, every=2, frames=None).to_recipe()
    assert recipe.detector_sha256 == hash_detector("haar") and len(recipe.detector_sha256) == 64
    settings, notes = follow_recipe(recipe, SAMPLING, size=64)
    assert settings == ExtractionSettings(margin=1.5, every=2, frames=None, size=64) and notes == []
    settings, notes = follow_recipe(recipe, SAMPLING, size=64, override=Override(margin=1.1))
    assert settings.margin == 1.1 and notes == [
        "margin is 1.1, but the training crops were made with 1.5"
    ]
    other = dataclasses.replace(recipe, detector_sha256="0" * 64, flow_method="flo")
    notes = follow_recipe(other, SAMPLING, size=64)[1]
    assert (
        "is not that of the training crops" in notes[0] and "files of another program" in notes[1]
    )
    settings, (note,) = follow_recipe(None, SAMPLING, size=64)
    assert (settings.every, settings.margin) == (2, 1.3) and "is not recorded" in note
    even = follow_recipe(None, Sampling(40, "even", 1), size=64)[0]
    assert (even.frames, even.every) == (40, None)
    precomputed = dataclasses.replace(recipe, detector="precomputed")
    with pytest.raises(UsageError, match="were found by another program"):
        follow_recipe(precomputed, SAMPLING, size=64)
    assert follow_recipe(precomputed, SAMPLING, size=64, override=Override("none"))[0].every == 2


def test_an_overriding_face_detector_without_landmarks_drops_what_needs_them():
    least = (("score", 0.5), ("sharpness", 40.0), ("frontal", 0.2), ("size", 60.0))
    recipe = CropRecipe("yunet", align=True, min_quality=least, every=2)
    settings, notes = follow_recipe(recipe, SAMPLING, size=64, override=Override("haar"))
    check_settings(settings)
    assert not settings.align and settings.min_quality == (least[1], least[3])
    assert notes == [
        "detector is haar, but the training crops were made with yunet",
        "align is False, but the training crops were made with True",
        "the face detector haar gives no landmarks to align faces by",
        "the minimum quality of the training crops (score=0.5, frontal=0.2) does not apply, "
        "because the face detector haar does not measure it",
    ]
    crops = follow_recipe(recipe, SAMPLING, size=64, override=Override("none"))[0]
    check_settings(crops)
    assert crops.min_quality == (least[1],)
    asked = follow_recipe(recipe, SAMPLING, size=64, override=Override("haar", align=True))[0]
    with pytest.raises(UsageError, match="align needs landmarks"):
        check_settings(asked)
    kept = follow_recipe(recipe, SAMPLING, size=64, override=Override("mtcnn"))[0]
    assert kept.align and kept.min_quality == least and kept.min_face is None


def test_the_smallest_face_of_mtcnn_is_part_of_the_recipe():
    """Recipes that do not say it are of earlier versions, whose MTCNN found faces of 20 px."""
    recipe = ExtractionSettings("mtcnn").to_recipe()
    assert recipe.min_face == 40 and ExtractionSettings("haar").to_recipe().min_face is None
    assert ExtractionSettings("mtcnn", min_face=60).to_recipe().min_face == 60
    assert follow_recipe(recipe, SAMPLING, size=64)[0].min_face == 40
    old = dataclasses.replace(recipe, min_face=None)
    assert follow_recipe(old, SAMPLING, size=64)[0].min_face == 20
    other = follow_recipe(recipe, SAMPLING, size=64, override=Override("haar"))[0]
    assert other.min_face is None
    assert list_differences(recipe, dataclasses.replace(recipe, min_face=60)) == [
        "min_face: 40 and 60"
    ]


@pytest.mark.parametrize(
    ("faces", "made_with"), [("mask", "faces=mask"), (None, "several choices of faces")]
)
def test_another_choice_of_faces_in_training_is_said(faces, made_with):
    recipe = dataclasses.replace(ExtractionSettings(every=2, frames=None).to_recipe(), faces=faces)
    note = "the main face of every video is cropped (faces=best), but the training crops were made"
    assert follow_recipe(recipe, SAMPLING, size=64)[1] == [f"{note} with {made_with}"]
    cropped = follow_recipe(recipe, SAMPLING, size=64, override=Override("none"))[1]
    assert cropped == ["detector is none, but the training crops were made with haar"]


def test_faces_of_another_program_cannot_be_asked_for():
    with pytest.raises(UsageError, match="unknown face detector 'precomputed'"):
        follow_recipe(RECIPE, SAMPLING, size=64, override=Override("precomputed"))
    precomputed = dataclasses.replace(RECIPE, detector="precomputed")
    with pytest.raises(UsageError, match="choose the most similar face detector: haar, yunet"):
        follow_recipe(precomputed, SAMPLING, size=64)


@pytest.fixture
def video(tmp_path):
    """Writes a video of a textured patch that jitters on a dark background and is absent twice."""
    rng = np.random.default_rng(0)
    patch = rng.integers(180, 256, (20, 20, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for number in range(24):
        frame = np.full((64, 96, 3), 20, np.uint8)
        if number not in (6, 14):
            y, x = 20 + number % 3, 10 + 2 * number + 2 * (number % 2)
            frame[y : y + 20, x : x + 20] = patch
        writer.write(frame)
    writer.release()
    return tmp_path / "v.avi"


def extract(video, settings):
    """Extracts one video in this process and returns the pack of its crops."""
    folder = video.parent
    task = {"video_id": "v", "root": str(folder), "path": video.name, "sha256": None}
    (fields,) = extract_record(str(folder / "crops"), settings, task)
    row = make_record(video_id="v", dataset="d", label=0, split="test") | fields
    metadata = make_metadata(settings.to_recipe())
    write_index(
        make_index([row]), folder / "crops/index.parquet", command="test", metadata=metadata
    )
    write_flow(folder / "crops/index.parquet", folder / "flow", stride=2, workers=1)
    pack(folder / "flow/index.parquet", folder / "pack")
    return open_pack(folder / "pack")


def choose(numbers):
    position = np.array([[8, 10, 12, 14], [14, 16, 18, -1]], np.int32)
    return position, np.isin(position, numbers)


@pytest.mark.parametrize("quality", [(), (("sharpness", 40.0),)])
def test_the_crops_of_a_clip_are_those_of_the_pack(video, bright, quality, monkeypatch):
    made = ExtractionSettings(
        detector=bright, frames=None, every=2, size=32, margin=1.4, min_quality=quality
    )
    stored = extract(video, made)
    recipe = read_crop_recipe(stored.path)
    assert recipe == dataclasses.replace(made.to_recipe(), flow_method="dis")
    assert (stored.path / RECIPE_FILE).is_file()
    settings, notes = follow_recipe(recipe, SAMPLING, size=32)
    assert settings == made and notes == []
    n_frames = probe(video).n_frames
    clips = crop_clips(video, n_frames, settings, choose)
    there = [n for n in (8, 10, 12, 14, 16, 18) if n in stored.frame_numbers(0)]
    assert clips.numbers.tolist() == there and (14 in there) == (not quality)
    assert np.array_equal(clips.faces.crops, stored.read(0, clips.numbers))
    monkeypatch.setattr(clip_crops, "MOST_FRAMES", 3)  # as of a film: only near the clips
    assert np.array_equal(crop_clips(video, n_frames, settings, choose).faces.crops,
                          clips.faces.crops)  # fmt: skip
    careless = dataclasses.replace(settings, every=1)  # other neighbours: other boxes
    assert not np.array_equal(
        crop_clips(video, n_frames, careless, choose).faces.crops, clips.faces.crops
    )


def test_a_video_without_a_crop_that_is_good_enough_cannot_be_scored(video, bright):
    settings = ExtractionSettings(detector=bright, size=32, min_quality=(("size", 500.0),))
    with pytest.raises(InputError, match="reaches the minimum quality .size=500"):
        crop_clips(video, 24, settings, choose)
