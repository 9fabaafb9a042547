// Reads frames through the browser's own player, for videos that the other thread cannot take apart.
// The player seeks by time, so that frames are chosen by the frame rate it was seen to play at.

const MEASURED = 12; // frames from which the rate is measured
const PATIENCE = 10000; // milliseconds for each answer of the player
const UNREADABLE = "this browser cannot read it as a video or image; MP4 with H.264 can be read in all";

let player = null, playerRate = 0;

// Returns { frameCount, rate, note } of a video, or { error }.
async function openPlayer(file) {
  closePlayer();
  player = document.createElement("video");
  Object.assign(player, { muted: true, playsInline: true, preload: "auto" });
  player.src = URL.createObjectURL(file);
  try {
    await nextEvent("loadeddata");
    if (!player.videoWidth) return { error: "has no video stream" };
    const duration = await findDuration();
    playerRate = await measureRate();
    const frameCount = Math.max(1, Math.round(duration * playerRate));
    const note = `its frames were chosen by time, at ${playerRate.toFixed(2)} per second`;
    return { frameCount, rate: playerRate, note };
  } catch (error) {
    return { error: error.message };
  }
}

function closePlayer() {
  if (player) URL.revokeObjectURL(player.src);
  player = null;
}

function nextEvent(name) {
  const video = player;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the player does not answer")), PATIENCE);
    const options = { once: true };
    video.addEventListener(name, () => { clearTimeout(timer); resolve(); }, options);
    video.addEventListener("error", () => { clearTimeout(timer); reject(new Error(UNREADABLE)); }, options);
  });
}

// Returns the seconds of the video; recordings of browsers do not say them until their end is seen.
async function findDuration() {
  if (Number.isFinite(player.duration)) return player.duration;
  await seek(1e7);
  return player.currentTime;
}

async function seek(time) {
  const done = nextEvent("seeked");
  player.currentTime = time;
  await done;
}

// Returns the frames per second, from the times of the first frames that are shown.
async function measureRate() {
  if (!player.requestVideoFrameCallback) throw new Error("this browser does not tell the times of frames");
  if (player.currentTime) await seek(0);
  const times = [];
  const seen = new Promise((resolve) => {
    const note = (_, { mediaTime }) => {
      times.push(mediaTime);
      if (times.length < MEASURED && !player.ended) player.requestVideoFrameCallback(note);
      else resolve();
    };
    player.requestVideoFrameCallback(note);
    player.addEventListener("ended", resolve, { once: true });
    setTimeout(resolve, PATIENCE);
  });
  player.playbackRate = 0.5; // so that no frame is left out
  await player.play();
  await seen;
  player.pause();
  const steps = times.slice(1).map((time, i) => time - times[i]).filter((step) => step > 1e-4);
  steps.sort((a, b) => a - b);
  return steps.length ? 1 / steps[steps.length >> 1] : 1;
}

// Returns { image } with the pixels of a frame, or { error }.
async function showFrame(number) {
  try {
    await seek(Math.min((number + 0.5) / playerRate, player.duration));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [player.videoWidth, player.videoHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(player, 0, 0);
    return { image: context.getImageData(0, 0, canvas.width, canvas.height) };
  } catch (error) {
    return { error: error.message };
  }
}
