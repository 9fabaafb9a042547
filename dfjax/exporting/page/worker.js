// The thread that computes. It gets the networks once, then one file after the other.

let parts = null;
let elementAnswer = () => {};

onmessage = async ({ data }) => {
  if (data.kind === "element") return elementAnswer(data);
  try {
    if (data.kind === "start") {
      parts = await loadParts(data);
      return postMessage({ kind: "ready" });
    }
    const report = (what, done, total) => postMessage({ kind: "progress", what, done, total });
    postMessage({ kind: "result", result: await scoreFile(data.file, parts, report) });
  } catch (error) {
    const message = error instanceof InputError ? error.message : `failed: ${error && error.message}`;
    postMessage({ kind: data.kind === "start" ? "broken" : "failure", message });
  }
};

// Returns the sessions of the networks. The runtime is given its binary, so that it fetches nothing.
async function loadParts({ runtime, binary, networks, settings }) {
  const script = new Blob([await unpack(runtime)], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  self.ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpack(binary);
  const options = { executionProviders: ["wasm"] };
  const open = async (text) => text && ort.InferenceSession.create(await unpack(text), options);
  return { settings, detector: await open(networks.detector), faces: await open(networks.faces) };
}

// Returns the bytes of a compressed text.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Returns a video that only the browser's own player can read: the page seeks and sends pictures.
async function openElement(file) {
  const opened = await askElement({ kind: "element-open", file });
  if (opened.error) throw new InputError(opened.error);
  const visit = async (numbers, see) => {
    for (const [place, number] of numbers.entries()) {
      const answer = await askElement({ kind: "element-frame", number });
      if (answer.error) throw new InputError(answer.error);
      await see(dropAlpha(answer.image), place);
    }
  };
  return { ...opened, visit };
}

function askElement(message) {
  return new Promise((resolve) => {
    elementAnswer = resolve;
    postMessage(message);
  });
}
