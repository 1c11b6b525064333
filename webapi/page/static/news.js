// New events are announced, not thrust into the reading.
//
// Who does nothing for a while is not asked for any more: a session must be able to grow old.

const POLL_MILLISECONDS = 10_000;
const IDLE_MILLISECONDS = 10 * 60_000;

export function start(root) {
  const notice = root.querySelector("[data-news]");
  if (!notice) {
    return;
  }
  let active = Date.now();
  for (const kind of ["pointerdown", "keydown", "scroll", "focus"]) {
    addEventListener(kind, () => (active = Date.now()), { passive: true });
  }
  const timer = setInterval(async () => {
    if (document.hidden || Date.now() - active > IDLE_MILLISECONDS) {
      return;
    }
    if (!(await look(notice))) {
      clearInterval(timer);
    }
  }, POLL_MILLISECONDS);
}

async function look(notice) {
  let answer;
  try {
    answer = await fetch(notice.dataset.news, { headers: { Accept: "application/json" } });
  } catch {
    // No network for a moment: the next time will tell.
    return true;
  }
  const link = notice.querySelector("a");
  if (answer.status === 401) {
    // Silence would read as "nothing happened".
    link.textContent = "Your session has ended: sign in again to see what is new";
    link.href = location.href;
    notice.hidden = false;
  }
  if (!answer.ok) {
    // Others may have asked too often for a minute.
    return answer.status === 429 || answer.status >= 500;
  }
  const { events, more } = await answer.json();
  if (events > 0) {
    const count = `${events.toLocaleString("en")}${more ? "+" : ""}`;
    link.textContent = `${count} new event${events === 1 ? "" : "s"}`;
    notice.hidden = false;
  }
  return true;
}
