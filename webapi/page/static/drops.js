// Dropdowns: closed by Escape and by a click elsewhere; actions found by typing.

export function start(root) {
  root.addEventListener("click", (event) => {
    for (const drop of root.querySelectorAll("details.drop[open]")) {
      if (!drop.contains(event.target)) {
        drop.open = false;
      }
    }
  });
  root.addEventListener("keydown", (event) => {
    const drop = event.key === "Escape" && event.target.closest("details.drop[open]");
    if (drop) {
      drop.open = false;
      drop.querySelector("summary").focus();
    }
  });
  // Half a date keeps a form from being sent; closed in, nobody would see why. It does not bubble.
  root.addEventListener("invalid", (event) => open(event.target.closest("details.drop")), true);
  for (const sieve of root.querySelectorAll(".sieve")) {
    prepare(sieve);
  }
}

function open(drop) {
  if (drop) {
    drop.open = true;
  }
}

function prepare(sieve) {
  const drop = sieve.closest("details");
  sieve.hidden = false;
  sieve.addEventListener("input", () => sift(drop, sieve.value));
  sieve.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      // The form would be sent with what is ticked so far: first comes the choice.
      event.preventDefault();
      drop.querySelector('.groups label:not([hidden]) input[name="action"]')?.focus();
    }
  });
  drop.addEventListener("toggle", () => drop.open && sieve.focus());
}

function sift(drop, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let all = 0;
  for (const group of drop.querySelectorAll(".groups fieldset")) {
    const category = group.querySelector("legend").textContent.toLowerCase();
    let left = 0;
    for (const label of group.querySelectorAll(":scope > label")) {
      const found = `${category} ${label.textContent} ${label.title}`.toLowerCase();
      label.hidden = !words.every((word) => found.includes(word));
      left += label.hidden ? 0 : 1;
    }
    group.hidden = left === 0;
    all += left;
  }
  drop.querySelector(".hint").hidden = all > 0;
}
