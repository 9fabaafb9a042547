"""Tests the restoration of files: frames, audio, marks, resuming, and unusable inputs."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import PIL.Image
import pytest

import dfjax
from dfjax.data.faces.marks import PREFIX, is_restored, read_sidecar, sidecar_path
from dfjax.data.faces.video import iterate_timed_frames, probe, read_frames
from dfjax.errors import UsageError
from dfjax.files import hash_file
from dfjax.inference import defake
from dfjax.inference.restoring import restore_file
from dfjax.inference.restoring.label import draw_label
from dfjax.inference.verdict import Verdict

FACE = slice(20, 60), slice(24, 64)  # the bright part of a frame


def make_frame(height=100, width=120, *, face=True):
    frame = np.full((height, width, 3), 60, np.uint8)
    if face:
        frame[FACE] = 190
    return frame


def write_video(path, frames, *, audio=None, fps=25, codec="libx264", pix_fmt="yuv444p"):
    """Writes a video; `audio` is the codec of a tone of the same length."""
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, rate=fps, options={"crf": "1"})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pix_fmt
        sound = output.add_stream(audio, rate=8000) if audio else None
        for frame in frames:
            output.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(video.encode())
        if sound is not None:
            count = 8000 * len(frames) // fps
            tone = (8000 * np.sin(np.arange(count) * 0.3)).astype(np.int16)[None]
            part = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            part.sample_rate, part.time_base, part.pts = 8000, Fraction(1, 8000), 0
            resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono")
            for piece in resampler.resample(part):
                output.mux(sound.encode(piece))
            output.mux(sound.encode())
    return path


def read_audio(path):
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return None, np.zeros(0)
        stream = file.streams.audio[0]
        parts = [f.to_ndarray()[0].astype(float) for f in file.decode(stream)]
        return stream.codec_context.name, np.concatenate(parts)


def restore(generator, inputs, out, bright, **options):
    return dfjax.defake(generator, inputs, out, face_detector=bright, **options)


def test_a_video_keeps_its_frames_times_and_audio(generator, bright, tmp_path):
    frames = [make_frame() for _ in range(11)]
    frames[5] = make_frame(face=False)
    video = write_video(tmp_path / "clip.mp4", frames, audio="aac")
    result = restore(generator, video, tmp_path / "out", bright)
    (file,) = result.files
    assert (file.status, file.error, file.output) == ("restored", None, tmp_path / "out/clip.mp4")
    assert (file.work.frames, file.work.restored, file.work.faces) == (11, 11, 1)
    assert generator.clips == 4  # of 4 frames with an overlap of 1
    before, after = (list(iterate_timed_frames(path)) for path in (video, file.output))
    assert [seconds for _, seconds in after] == [seconds for _, seconds in before]
    for (old, _), (new, _) in zip(before, after):
        change = new.astype(int) - old
        assert abs(np.median(change[30:50, 34:54]) - 40) <= 2  # inside of the mask
        assert np.abs(change[:8]).max() <= 4 and np.abs(change[:80, 80:]).max() <= 4
    (codec, sound), (_, original) = read_audio(file.output), read_audio(video)
    assert codec == "aac" and np.array_equal(sound, original)
    assert "1 of 1 files restored" in result.describe()[-1] and "frames/s" in result.describe()[-1]
    assert not result.has_findings


def test_audio_that_mp4_cannot_hold_is_converted(generator, bright, tmp_path):
    video = write_video(
        tmp_path / "c.avi", [make_frame()] * 10, audio="pcm_s16le", pix_fmt="yuv420p"
    )
    (file,) = restore(generator, video, tmp_path / "out", bright).files
    codec, sound = read_audio(file.output)
    assert codec == "aac" and abs(len(sound) / 8000 - 0.4) < 0.2
    assert np.abs(sound).max() > 0.15  # float samples of the tone


@pytest.mark.parametrize(("height", "width"), [(99, 120), (100, 121), (99, 121)])
def test_odd_sizes_are_kept(generator, bright, tmp_path, height, width):
    video = write_video(tmp_path / "odd.mkv", [make_frame(height, width)] * 5)
    (file,) = restore(generator, video, tmp_path / "out", bright).files
    info = probe(file.output)
    assert (info.height, info.width, info.n_frames) == (height, width, 5)


def test_a_video_of_one_frame_becomes_a_picture(generator, bright, tmp_path):
    video = write_video(tmp_path / "one.mp4", [make_frame()])
    (file,) = restore(generator, video, tmp_path / "out", bright).files
    assert file.output.name == "one.png" and probe(file.output).n_frames == 1


def test_a_picture_is_restored_without_loss_and_marked(generator, bright, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), make_frame())
    (file,) = restore(generator, tmp_path / "face.png", tmp_path / "out", bright).files
    (picture,) = read_frames(file.output, [0])
    assert (picture[30:50, 34:54] == 230).all() and (picture[:8] == 60).all()
    assert (picture[90:, :100] > 200).any()  # the label
    text = PIL.Image.open(file.output).info["Comment"]
    embedded = json.loads(text.removeprefix(PREFIX))
    mark = read_sidecar(file.output)
    assert embedded.items() <= mark.items()
    assert mark["input_sha256"] == hash_file(tmp_path / "face.png")
    assert mark["output_sha256"] == hash_file(file.output)
    assert mark["checkpoint"] == "best/7" and mark["version"] == dfjax.__version__
    assert mark["statement"] == "restored by a model" and mark["time"]
    assert mark["settings"]["visible_mark"] is True


def test_either_mark_is_recognised(generator, bright, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_frame())
    write_video(tmp_path / "b.mp4", [make_frame()] * 5)
    result = restore(generator, [tmp_path / "a.png", tmp_path / "b.mp4"], tmp_path / "out", bright)
    for file in result.files:
        assert not is_restored(file.input) and is_restored(file.output)
        sidecar_path(file.output).rename(tmp_path / "moved")
        assert is_restored(file.output)
        plain = tmp_path / "out" / file.input.name
        (tmp_path / "moved").rename(sidecar_path(plain))
        plain.write_bytes(file.input.read_bytes())
        assert is_restored(plain)
    again = restore(generator, tmp_path / "out", tmp_path / "twice", bright)
    assert {file.error for file in again.files} == {"is marked as restored by a model already"}


def test_only_the_flag_removes_the_label(generator, bright, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_frame())
    generator.added = 0
    (file,) = restore(
        generator, tmp_path / "a.png", tmp_path / "out", bright, visible_mark=False
    ).files
    np.testing.assert_array_equal(read_frames(file.output, [0])[0], make_frame())
    assert is_restored(file.output)
    (file,) = restore(generator, tmp_path / "a.png", tmp_path / "out", bright).files
    assert file.status == "restored"  # the settings differ
    np.testing.assert_array_equal(read_frames(file.output, [0])[0], draw_label(make_frame()))


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (33, 65), (720, 1280)])
def test_the_label_fits_any_frame(shape):
    frame = np.full((*shape, 3), 200, np.uint8)
    drawn = draw_label(frame)
    assert drawn.shape == frame.shape and (drawn != frame).any() and (frame == 200).all()
    assert (drawn != frame).mean() < 0.1 or min(shape) < 50


def test_finished_files_are_skipped_and_others_made_again(generator, bright, tmp_path):
    videos = [write_video(tmp_path / f"{n}.mp4", [make_frame()] * 5) for n in "ab"]
    out = tmp_path / "out"
    first = restore(generator, videos, out, bright)
    made = [file.output.stat().st_mtime_ns for file in first.files]
    again = restore(generator, videos, out, bright)
    assert [file.status for file in again.files] == ["complete"] * 2
    assert [file.output.stat().st_mtime_ns for file in again.files] == made
    assert again.files[0].work == first.files[0].work and again.frames_per_s is None
    first.files[0].output.write_bytes(b"cut off")
    write_video(videos[1], [make_frame()] * 6)
    third = restore(generator, videos, out, bright)
    assert [(f.status, f.work.frames) for f in third.files] == [("restored", 5), ("restored", 6)]
    generator.checkpoint_sha256 = "d" * 64
    assert restore(generator, videos, out, bright).files[0].status == "restored"


def test_an_interrupted_call_leaves_no_part_and_resumes(generator, bright, tmp_path, monkeypatch):
    videos = [write_video(tmp_path / f"{n}.mp4", [make_frame()] * 9) for n in "ab"]

    def stop(clips):
        if generator.clips >= 4:
            raise KeyboardInterrupt
        return type(generator).restore(generator, clips)

    with monkeypatch.context() as patch:
        patch.setattr(generator, "restore", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            restore(generator, videos, tmp_path / "out", bright)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".dfjax", "a.mp4", "a.mp4.restored.json"}
    result = restore(generator, videos, tmp_path / "out", bright)
    assert [file.status for file in result.files] == ["complete", "restored"]


def test_inputs_that_cannot_be_used_are_listed(generator, bright, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    good = write_video(folder / "good.mp4", [make_frame()] * 5)
    write_video(folder / "dark.mp4", [make_frame(face=False)] * 5)
    (folder / "text.mp4").write_text("not a video")
    (folder / "empty.png").write_bytes(b"")
    data = write_video(folder / "cut.mp4", [make_frame()] * 40).read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    result = restore(generator, folder, tmp_path / "out", bright)
    errors = {file.input.name: file.error for file in result.files if file.error}
    assert set(errors) == {"dark.mp4", "text.mp4", "empty.png", "cut.mp4"}
    assert errors["dark.mp4"] == "no face found in any frame"
    assert result.has_findings and len(result.list_errors()) == 4
    assert [f.input for f in result.files if f.status == "restored"] == [good]
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {".dfjax", "good.mp4", "good.mp4.restored.json"}
    shown = result.to_json()
    assert json.dumps(shown) and shown["results"][0]["status"] == "error"


def test_folders_keep_their_structure_and_names_are_numbered(generator, bright, tmp_path):
    for name in ("in/x/face.png", "in/y/face.png", "in/y/face.jpg", "face.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), make_frame())
    inputs = [tmp_path / "in", tmp_path / "face.png"]
    result = restore(generator, inputs, tmp_path / "out", bright)
    names = [file.output.relative_to(tmp_path / "out").as_posix() for file in result.files]
    assert names == ["x/face.png", "y/face.png", "y/face-2.png", "face.png"]
    (other,) = restore(generator, tmp_path / "in/x/face.png", tmp_path / "out", bright).files
    assert "was made of another input" in other.error


def test_places_that_would_spoil_files_are_refused(generator, bright, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_frame())
    for out in (tmp_path, tmp_path / "out" / "deep"):
        with pytest.raises(UsageError, match="inside of the input folder"):
            restore(generator, tmp_path, out, bright)
    with pytest.raises(UsageError, match="did not write"):
        restore(generator, tmp_path / "a.png", tmp_path, bright)
    restore(generator, tmp_path / "a.png", tmp_path / "ours", bright)
    with pytest.raises(UsageError, match="is an input, and"):
        restore(generator, tmp_path / "ours" / "a.png", tmp_path / "ours", bright)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        restore(generator, tmp_path / "a.png", other, bright)
    (other / "notes.txt").unlink()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises((UsageError, OSError)):
        restore(generator, tmp_path / "a.png", blocked / "out", bright)
    for options in ({"overlap": 3}, {"overlap": -1}, {"batch_size": 0}, {"faces": "some"}):
        with pytest.raises(UsageError, match=next(iter(options))):
            restore(generator, tmp_path / "a.png", tmp_path / "new", bright, **options)


def test_every_face_is_restored_on_request(generator, monkeypatch, tmp_path):
    from dfjax.data.faces.detectors import DETECTORS, Detections

    boxes = np.array([[10, 10, 52, 52], [70, 30, 110, 70]], np.float32)
    monkeypatch.setitem(DETECTORS, "two", lambda: lambda frame: Detections(boxes))
    frame = np.full((100, 120, 3), 60, np.uint8)
    video = write_video(tmp_path / "two.mp4", [frame] * 6)
    options = {"face_detector": "two", "visible_mark": False}
    for faces, left in (("best", 60), ("all", 100)):  # the second face is nearer to the centre
        (file,) = dfjax.defake(generator, video, tmp_path / faces, faces=faces, **options).files
        picture = read_frames(file.output, [3])[0].astype(int)
        assert abs(picture[30, 30].mean() - left) <= 2 and abs(picture[50, 90].mean() - 100) <= 2


def test_memory_does_not_grow_with_the_length(generator, bright, tmp_path, monkeypatch):
    """No more frames are decoded ahead of the written one than the windows need."""
    video = write_video(tmp_path / "long.mp4", [make_frame()] * 60)
    decoded = []
    real = restore_file.iterate_timed_frames

    def count(path):
        decoded.append(0)
        place = len(decoded) - 1
        for item in real(path):
            decoded[place] += 1
            yield item

    monkeypatch.setattr(restore_file, "iterate_timed_frames", count)
    ahead, draw = [], restore_file.draw_label

    def note(frame):
        ahead.append(max(decoded[1:]) - min(decoded[1:]))
        return draw(frame)

    monkeypatch.setattr(restore_file, "draw_label", note)
    restore(generator, video, tmp_path / "out", bright)
    assert decoded[0] == 60 and len(ahead) == 60 and max(ahead) <= 8


def test_scores_are_of_the_faces_that_the_same_face_detector_finds(
    generator, bright, tmp_path, monkeypatch
):
    given = []

    def score_files(scorer, files, **options):
        given.append((files, options))
        return [Verdict(str(file), "ok", fake_prob=0.25 * i) for i, file in enumerate(files)]

    monkeypatch.setattr(defake, "score_files", score_files)

    class Scorer:
        config, checkpoint_sha256 = generator.config, "b" * 64

        def score(self, batches, *, batch_size=0):
            raise NotImplementedError

    monkeypatch.setattr(defake, "load_ensemble", lambda _: Scorer())
    image = tmp_path / "crop.png"
    PIL.Image.fromarray(make_frame(48, 48)).save(image)
    options = {"detector": "w", "workers": 1, "margin": 1.5}
    result = dfjax.defake(generator, image, tmp_path / "out", face_detector="none", **options)
    assert [(file.before, file.after) for file in result.files] == [(0.0, 0.25)]
    ((files, options),) = given
    assert files == [image, tmp_path / "out" / "crop.png"]
    # The detector cuts faces with the margin of its own recipe.
    assert options == {"workers": 1, "face_detector": "none", "face_model": None}
    assert read_sidecar(files[1])["scores"]["after"] == 0.25


def test_a_detector_that_does_not_exist_is_an_error_before_the_work(generator, bright, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_frame())
    with pytest.raises(UsageError, match="nowhere"):
        restore(
            generator, tmp_path / "a.png", tmp_path / "out", bright, detector=tmp_path / "nowhere"
        )
    assert generator.clips == 0 and not (tmp_path / "out").exists()
