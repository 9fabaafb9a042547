// The page: takes files, has them scored one after the other, and shows the results.

const find = (id) => document.getElementById(id);
const packed = (id) => (find(id) ? find(id).textContent : "");
const SETTINGS = JSON.parse(find("settings").textContent);

const waiting = []; // files that were not begun
const rows = []; // of the table that can be saved
let thread = null; // the worker, once its networks are loaded
let current = null; // the file that is being scored

// Returns a worker whose networks are loaded.
function startThread() {
  const script = new Blob([find("worker").textContent], { type: "text/javascript" });
  const address = URL.createObjectURL(script), made = new Worker(address);
  URL.revokeObjectURL(address);
  const networks = { detector: packed("detector"), faces: packed("faces") };
  const parts = { runtime: packed("runtime"), binary: packed("binary"), networks, settings: SETTINGS };
  return new Promise((resolve, reject) => {
    made.onerror = (event) => reject(new Error(event.message || "the browser did not start it"));
    made.onmessage = ({ data }) => {
      if (data.kind !== "ready") return reject(new Error(data.message));
      made.onmessage = answer;
      made.onerror = (event) => finish(null, `failed: ${event.message || "the browser ended it"}`);
      resolve(made);
    };
    made.postMessage({ kind: "start", ...parts });
  });
}

async function answer({ data }) {
  if (data.kind === "progress") showProgress(data);
  else if (data.kind === "result") finish(data.result, "");
  else if (data.kind === "failure") finish(null, data.message);
  else if (data.kind === "element-open") reply(await openPlayer(data.file));
  else if (data.kind === "element-frame") reply(await showFrame(data.number));
}

function reply(message) {
  if (thread) thread.postMessage({ kind: "element", ...message });
}

function addFiles(files) {
  waiting.push(...files);
  if (!current && waiting.length) scoreNext();
}

async function scoreNext() {
  current = waiting.shift() || null;
  find("busy").hidden = !current;
  if (!current) return announce();
  find("doing").textContent = `${current.name}: loading the detector`;
  find("bar").removeAttribute("value");
  const file = current;
  try {
    if (!thread) {
      const made = await startThread();
      if (current !== file) return made.terminate(); // cancelled meanwhile
      thread = made;
    }
    thread.postMessage({ kind: "score", file });
  } catch (error) {
    if (current === file) finish(null, `the detector could not be loaded: ${error.message}`);
  }
}

function showProgress({ what, done, total }) {
  const left = waiting.length ? `, ${waiting.length} more waiting` : "";
  find("doing").textContent = `${current.name}: ${what.toLowerCase()}${left}`;
  find("bar").max = total;
  find("bar").value = done;
}

function finish(result, error) {
  if (!current) return;
  const row = makeRow(current.name, result, error);
  rows.push(row);
  find("results").hidden = false;
  find("cards").prepend(drawCard(row, result));
  closePlayer();
  scoreNext();
}

function announce() {
  const scored = rows.filter((row) => row.status === "ok").length, last = rows[rows.length - 1];
  const said = last.status === "ok" ? `${last.verdict}, P(fake) ${last.fake_prob.toFixed(4)}` : last.error;
  find("status").textContent = `${scored} of ${rows.length} files scored. Last: ${last.input}, ${said}.`;
}

function cancel() {
  if (thread) thread.terminate();
  thread = null;
  const stopped = [current, ...waiting.splice(0)];
  current = null;
  for (const { name } of stopped) {
    const row = makeRow(name, null, "cancelled");
    rows.push(row);
    find("cards").prepend(drawCard(row, null));
  }
  find("results").hidden = false;
  closePlayer();
  find("busy").hidden = true;
  announce();
  find("choose").focus();
}

function saveTable() {
  const blob = new Blob(["\ufeff", makeCsv(rows)], { type: "text/csv" });
  const link = element("a", "", { download: "dfjax-results.csv", href: URL.createObjectURL(blob) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function start() {
  const zone = find("zone"), input = find("files");
  find("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { addFiles([...input.files]); input.value = ""; });
  find("cancel").addEventListener("click", cancel);
  find("save").addEventListener("click", saveTable);
  find("clear").addEventListener("click", () => {
    rows.length = 0;
    find("cards").replaceChildren();
    find("results").hidden = true;
    find("status").textContent = "";
    find("choose").focus();
  });
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    addFiles([...event.dataTransfer.files]);
  });
}

start();
