"""`dfjax data compress`: the same frames at the same times, smaller; resumable."""

import json
import os

import av
import cv2
import hostile_corpus
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.faces.compress import compress_video
from dfjax.data.faces.video import iterate_timed_frames, probe, read_frames
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.errors import InputError
from dfjax.files import atomic_path


def write_video(path, n_frames=6, size=(64, 48), times=None):
    """Smooth pictures that get brighter: compressible, and each frame tells its number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=100, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        noise = np.random.default_rng(0).integers(0, 30, (size[1], size[0], 3), dtype=np.uint8)
        for k in range(n_frames):
            frame = av.VideoFrame.from_ndarray(noise + np.uint8(30 * k), format="rgb24")
            frame.pts = times[k] if times else 4 * k
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def mean_levels(path):
    return [float(frame.mean()) for frame in read_frames(path, range(probe(path).n_frames))]


def test_frames_stay_and_bytes_go(tmp_path):
    source = write_video(tmp_path / "a.mp4")
    sizes = [source.stat().st_size]
    for crf in (23, 40):
        compress_video(source, tmp_path / f"{crf}.mp4", crf=crf)
        info = probe(tmp_path / f"{crf}.mp4")
        assert (info.n_frames, info.width, info.height, info.codec) == (6, 64, 48, "h264")
        np.testing.assert_allclose(
            mean_levels(tmp_path / f"{crf}.mp4"), mean_levels(source), atol=4
        )
        sizes.append(info.bytes)
    assert sizes[0] > sizes[1] > sizes[2]


def test_times_of_a_variable_rate_stay(tmp_path):
    times = [0, 1, 5, 6, 30, 95]
    source = write_video(tmp_path / "a.mp4", times=times)
    compress_video(source, tmp_path / "b.mp4", crf=30)
    found = [float(seconds) for _, seconds in iterate_timed_frames(tmp_path / "b.mp4")]
    np.testing.assert_allclose(found, np.array(times) / 100, atol=1e-4)


def test_odd_sides_lose_a_row_and_a_column(tmp_path):
    source = write_video(tmp_path / "a.mp4", size=(33, 27))
    compress_video(source, tmp_path / "b.mp4", crf=20)
    assert probe(tmp_path / "b.mp4")[1:3] == (32, 26)


def test_an_image_is_a_video_of_one_frame(tmp_path):
    picture = read_frames(write_video(tmp_path / "a.mp4"), [3])[0]
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    compress_video(tmp_path / "a.png", tmp_path / "b.mp4", crf=1)
    assert probe(tmp_path / "b.mp4").n_frames == 1
    (frame,) = read_frames(tmp_path / "b.mp4", [0])
    assert np.abs(frame.astype(int) - picture).mean() < 8  # 4:2:0 halves the colours' resolution


def test_what_cannot_be_compressed_leaves_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    hostile_corpus.write_video(tmp_path / "sound.mp4", audio=True)
    (tmp_path / "a.png").write_bytes(b"x")
    for name, message in [("a.mp4", "not a video"), ("sound.mp4", "no video stream"),
                          ("a.png", "damaged")]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            compress_video(tmp_path / name, tmp_path / "out" / "b.mp4", crf=23)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_video(folder / "a.mp4")
    write_video(folder / "b.mp4", n_frames=4)
    (folder / "bad.mp4").write_text("no video")
    rows = [
        make_record(
            video_id=f"s/{name}", dataset="s", label=k % 2, method="m", root=str(folder),
            path=f"{name}.mp4", split="test", target_id=name, frames_dir="crops/x",
            frame_indices=[0],
        )
        for k, name in enumerate(("a", "b", "bad"))
    ]  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def compress(index, out, *arguments):
    return main(["data", "compress", "--index", str(index), "--out", str(out), "--crf", "40",
                 "--workers", "1", "--json", *arguments])  # fmt: skip


def test_the_new_index_is_that_of_the_new_videos(index, tmp_path, capsys):
    out = tmp_path / "out"
    assert compress(index, out) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["unreadable"] == 1
    (line,) = (out / "errors.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "s/bad" and json.loads(line)["stage"] == "compress"
    old, new = read_index(index), read_index(out / "index.parquet")
    assert new["video_id"].tolist() == ["s/a", "s/b"] and new["n_frames"].tolist() == [6, 4]
    for same in ("dataset", "label", "method", "split", "target_id", "identities"):
        assert new[same].tolist() == old[same].tolist()[:2]
    assert set(new["compression"]) == {"crf40"} and new["frames_dir"].isna().all()
    for row in new.itertuples():
        info = probe(f"{row.root}/{row.path}")
        assert (row.sha256, row.bytes, row.codec) == (info.sha256, info.bytes, "h264")


def test_what_is_done_is_kept_until_it_should_be_another(index, tmp_path):
    out = tmp_path / "out"
    compress(index, out)
    video = out / "videos/s/a.mp4"
    before = video.stat().st_mtime_ns
    (out / "videos/s/b.mp4").unlink()
    with pytest.raises(KeyboardInterrupt), atomic_path(out / "videos/s/b.mp4") as partial:
        # What another process that was killed would have left.
        partial.with_name(partial.name.replace(f".{os.getpid()}.", ".1.")).touch()
        raise KeyboardInterrupt
    compress(index, out)
    assert not list((out / "videos/s").glob(".*"))
    assert video.stat().st_mtime_ns == before and (out / "videos/s/b.mp4").is_file()
    first = read_index(out / "index.parquet")
    compress(index, out, "--crf", "20")
    assert video.stat().st_mtime_ns != before
    assert read_index(out / "index.parquet")["bytes"][0] > first["bytes"][0]


@pytest.mark.parametrize("crf", ["-1", "52", "x"])
def test_wrong_usage(index, tmp_path, capsys, crf):
    assert compress(index, tmp_path / "out", f"--crf={crf}") == 2
    assert "crf" in capsys.readouterr().err
