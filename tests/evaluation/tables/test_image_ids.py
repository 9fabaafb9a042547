"""Tables whose ids are the paths of images: frames are not counted as videos."""

import pytest

from dfjax.evaluation.tables.predictions import read_predictions

PATHS = [
    f"{kind}/{video:03d}/{frame:03d}.png" for kind in "rf" for video in (3, 4) for frame in (0, 7)
]


def read(tmp_path, names, header="filename,label,score", rows="{name},{label},0.5"):
    lines = [
        rows.format(name=name, label=int("f" in name), place=n) for n, name in enumerate(names)
    ]
    (tmp_path / "scores.csv").write_text("\n".join([header, *lines]) + "\n")
    return read_predictions([tmp_path / "scores.csv"])


@pytest.mark.parametrize("header", ["filename", "path", "image_path"])
def test_the_folder_of_an_image_is_the_video(tmp_path, header):
    found = read(tmp_path, PATHS, f"{header},label,score")
    table = found.predictions
    assert table["video_id"].nunique() == 4 and set(table["unit"]) == {"frame"}
    assert table["video_id"][0] == "r/003" and table["position"].tolist() == [0, 7] * 4
    assert any("its name as the frame" in flag["message"] for flag in found.flags)


def test_a_column_of_frames_is_kept(tmp_path):
    found = read(
        tmp_path, PATHS, "path,frame,label,score", "{name},{place},{label},0.5"
    ).predictions
    assert found["video_id"].nunique() == 4 and found["position"].tolist() == list(range(8))


@pytest.mark.parametrize(
    "names",
    [
        [f"{kind}/{n}.png" for kind in ("real", "fake") for n in range(4)],
        [f"{kind}_00{n}_{frame}.png" for kind in "rf" for n in (1, 2) for frame in (0, 1)],
    ],
)
def test_images_that_may_be_frames_stay_with_a_flag(tmp_path, names):
    found = read(tmp_path, names)
    assert found.predictions["video_id"].tolist() == names
    assert [f["severity"] for f in found.flags if f["code"] == "images_as_videos"] == ["warning"]


def test_numbered_videos_have_no_flag(tmp_path):
    names = [f"{kind}_{n:03d}.mp4" for kind in "abcdef" for n in range(4)]
    assert not [f for f in read(tmp_path, names).flags if f["code"] == "images_as_videos"]
    names = [f"{n:03d}_{n + 1:03d}" for n in range(20)]
    assert not [f for f in read(tmp_path, names).flags if f["code"] == "images_as_videos"]
    names = [f"{kind}/000_{n}" for kind in "abcdef" for n in range(4)]
    assert [
        f["severity"] for f in read(tmp_path, names).flags if f["code"] == "images_as_videos"
    ] == ["info"]
