// Times: how long ago, ticking; and the zone in which they are shown.
//
// The server shows UTC, or the zone that the URL names. Here the viewer's own zone is known: it is
// shown unless UTC was chosen, and the choice is remembered.

const KEY = "indelible.zone";
const TICK_MILLISECONDS = 10_000;
const JUST_NOW_SECONDS = 10;
const UNITS = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

// An hour, and half of one on Lord Howe Island.
const TURNS_MILLISECONDS = [-3_600_000, 3_600_000, -1_800_000, 1_800_000];

// One for each zone: they take longer to make than to use.
const clocks = new Map();

let shown = "UTC";

export function start(root) {
  const group = root.querySelector(".zones");
  const named = new URL(location.href).searchParams.get("zone");
  if (group) {
    replaceChoices(root, group, named);
  }
  if (named === null) {
    show(root, chosenZone());
  } else {
    shown = named;
  }
  tick(root);
  setInterval(() => document.hidden || tick(root), TICK_MILLISECONDS);
}

export function ago(instant, now) {
  const seconds = Math.trunc((now - instant) / 1000);
  const distance = Math.abs(seconds);
  if (distance < JUST_NOW_SECONDS) {
    return "just now";
  }
  const [unit, size] = UNITS.find(([, length]) => distance >= length);
  const count = Math.floor(distance / size);
  const text = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

export function clock(instant, timeZone) {
  if (!clocks.has(timeZone)) {
    // Swedish writes a date as ISO 8601 does.
    const parts = { year: "numeric", month: "2-digit", day: "2-digit" };
    const times = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
    clocks.set(timeZone, new Intl.DateTimeFormat("sv-SE", { timeZone, ...parts, ...times }));
  }
  return clocks.get(timeZone).format(instant);
}

// When summer time ends, two events an hour apart have the same time of day.
export function exact(instant, timeZone) {
  const text = clock(instant, timeZone);
  const again = (distance) => clock(new Date(instant.getTime() + distance), timeZone) === text;
  return TURNS_MILLISECONDS.some(again) ? long(instant, timeZone) : text;
}

export function long(instant, timeZone) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone, timeZoneName: "longOffset" });
  const name = parts.formatToParts(instant).find((part) => part.type === "timeZoneName").value;
  // Some browsers name the distance of zero, too.
  return `${clock(instant, timeZone)} ${name.replace("GMT", "UTC").replace("+00:00", "")}`;
}

function localZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

// Not what is remembered: another tab may have chosen since.
export function zoneShown() {
  return shown;
}

function chosenZone() {
  return remembered() === "utc" ? "UTC" : localZone();
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Storage that is forbidden: then the choice lasts as long as the page.
  }
}

function replaceChoices(root, group, named) {
  const current = named ?? chosenZone();
  const choices = new Map([["utc", "UTC"]]);
  if (localZone() !== "UTC") {
    choices.set("local", localZone());
  }
  if (named !== null && ![...choices.values()].includes(named)) {
    choices.set("named", named);
  }
  group.replaceChildren(
    ...[...choices].map(([choice, zone]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = choice === "local" ? zone.replaceAll("_", " ") : zone;
      button.title = choice === "local" ? "Your time zone" : "";
      button.setAttribute("aria-pressed", String(zone === current));
      button.addEventListener("click", () => choose(root, group, button, choice, zone, named));
      return button;
    }),
  );
}

function choose(root, group, button, choice, zone, named) {
  remember(choice);
  if (named !== null) {
    const address = new URL(location.href);
    address.searchParams.delete("zone");
    if (choice !== "named") {
      location.assign(address);
    }
    return;
  }
  for (const one of group.children) {
    one.setAttribute("aria-pressed", String(one === button));
  }
  show(root, zone);
}

function show(root, zone) {
  shown = zone;
  for (const element of root.querySelectorAll("time[data-as]")) {
    const instant = new Date(element.dateTime);
    if (element.dataset.as === "clock") {
      element.textContent = exact(instant, zone);
    } else if (element.dataset.as === "long") {
      element.textContent = long(instant, zone);
    }
    const both = zone === "UTC" ? "" : ` · ${long(instant, zone)}`;
    element.title = `${clock(instant, "UTC")} UTC${both}`;
  }
  for (const input of root.querySelectorAll("[data-zone]")) {
    input.value = zone;
  }
  for (const element of root.querySelectorAll("[data-zone-name]")) {
    element.textContent = zone;
  }
  for (const input of root.querySelectorAll("input[data-bound]")) {
    input.value = clock(new Date(input.dataset.bound), zone).replace(" ", "T");
  }
}

function tick(root) {
  const now = new Date();
  for (const element of root.querySelectorAll('time[data-as="ago"]')) {
    element.textContent = ago(new Date(element.dateTime), now);
  }
}
