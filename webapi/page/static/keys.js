// The keyboard: arrows go from row to row, right and left open and close, a slash goes to the search.

const ROWS = ".rows > li > details > summary";

export function start(root) {
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) {
      return;
    }
    if (event.key === "/" && !isTyping(event.target)) {
      const search = root.getElementById("q");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
      return;
    }
    move(root, event);
  });
}

function move(root, event) {
  const row = event.target.closest?.(ROWS);
  if (!row && event.target !== root.body) {
    return;
  }
  const rows = [...root.querySelectorAll(ROWS)];
  const at = rows.indexOf(row);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (row && event.key === "ArrowRight") {
    row.parentElement.open = true;
  } else if (row && event.key === "ArrowLeft") {
    row.parentElement.open = false;
  } else if (to !== undefined && rows[to] && (row || event.key === "ArrowDown")) {
    rows[to].focus();
  } else {
    return;
  }
  event.preventDefault();
}

function isTyping(element) {
  return element.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
}
