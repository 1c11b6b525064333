// Exports with progress and cancel: the file is read here while it is sent, and then saved.
//
// A very large one is left to the browser's own download, which needs no memory.

const MOST_EVENTS = 200_000;
const NEWLINE = 10;

export function start(root) {
  const group = root.querySelector("[data-export]");
  if (!group || Number(group.dataset.export) > MOST_EVENTS) {
    return;
  }
  for (const link of group.querySelectorAll("a")) {
    link.addEventListener("click", (event) => {
      if (event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        // One at a time: a second would write over what the first tells, and both are counted.
        if (group.querySelector("button").hidden) {
          run(group, link);
        }
      }
    });
  }
}

async function run(group, link) {
  const status = group.querySelector(".export-status");
  const cancel = group.querySelector("button");
  const abort = new AbortController();
  cancel.onclick = () => abort.abort();
  cancel.hidden = false;
  status.textContent = "Asking…";
  try {
    const answer = await fetch(link.href, { signal: abort.signal });
    if (!answer.ok) {
      status.textContent = refusal(answer);
      return;
    }
    const total = Number(group.dataset.export);
    const file = await read(answer, (events) => {
      const done = Math.min(events, total).toLocaleString("en");
      status.textContent = `${done} of ${total.toLocaleString("en")} events`;
    });
    save(file, nameOf(answer));
    status.textContent = "Saved";
  } catch (error) {
    status.textContent =
      error.name === "AbortError" ? "Cancelled" : "The export broke off; nothing was saved.";
  } finally {
    cancel.hidden = true;
  }
}

function refusal(answer) {
  if (answer.status === 401) {
    return "Your session has ended. Load the page again to sign in.";
  }
  const seconds = answer.headers.get("Retry-After");
  const again = seconds === null ? "" : ` It can be asked for again in ${seconds} s.`;
  return answer.status === 429
    ? `Too many exports.${again}`
    : `The export could not begin (${answer.status}); nothing was saved.${again}`;
}

async function read(answer, tell) {
  const pieces = [];
  const reader = answer.body.getReader();
  let lines = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return new Blob(pieces, { type: "application/octet-stream" });
    }
    pieces.push(value);
    for (const byte of value) {
      lines += byte === NEWLINE ? 1 : 0;
    }
    tell(lines);
  }
}

function nameOf(answer) {
  return /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "export";
}

function save(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
