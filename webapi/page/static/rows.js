// Rows that were opened are open again when one comes back to them.

const ROWS = ".rows > li > details";

export function start(root) {
  const opened = new Set(history.state?.opened);
  for (const row of root.querySelectorAll(ROWS)) {
    row.open ||= opened.has(row.id);
  }
  // It does not bubble: it is heard on its way down.
  root.addEventListener("toggle", (event) => event.target.matches(ROWS) && remember(root), true);
}

function remember(root) {
  const opened = [...root.querySelectorAll(`${ROWS}[open]`)].map((row) => row.id);
  history.replaceState({ ...history.state, opened }, "");
}
