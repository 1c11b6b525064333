// Buttons that copy: an event as JSON, and the link to it.

const SHOWN_MILLISECONDS = 2000;

export function start(root) {
  for (const element of root.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = element.dataset.copy;
    button.addEventListener("click", () => copy(element, button));
    element.after(button);
  }
}

async function copy(element, button) {
  const text = element.href ?? element.querySelector("pre").textContent;
  let answer = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    answer = "Not allowed here";
  }
  const words = element.dataset.copy;
  button.textContent = answer;
  setTimeout(() => {
    button.textContent = words;
  }, SHOWN_MILLISECONDS);
}
