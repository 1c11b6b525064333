// The timeline: dragging over bars, or arrows with Shift, choose a window; Enter goes there.

import { exact, zoneShown } from "./zone.js";

const GONE = ["since", "until", "around", "window", "range", "cursor", "newer", "offset"];

export function start(root) {
  for (const figure of root.querySelectorAll("[data-timeline]")) {
    new Timeline(figure);
  }
}

export function windowAddress(current, since, until) {
  const address = new URL(current);
  for (const name of GONE) {
    address.searchParams.delete(name);
  }
  address.searchParams.set("since", since);
  address.searchParams.set("until", until);
  return address.href;
}

function spanWords(since, until, events) {
  const [from, to] = [since, until].map((one) => exact(new Date(one), zoneShown()));
  return `${from} to ${to}: ${events.toLocaleString("en")} event${events === 1 ? "" : "s"}`;
}

// When it is asked for: the server named the bar in its zone, and the viewer may change theirs.
function name(bar) {
  if (bar) {
    const { since, until, count } = bar.dataset;
    bar.querySelector("title").textContent = spanWords(since, until, Number(count));
  }
}

class Timeline {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    this.bars = [...figure.querySelectorAll("svg a")];
    this.choice = figure.querySelector(".choice");
    this.from = null;
    this.to = null;
    this.dragging = false;
    this.listen();
  }

  listen() {
    const chart = this.figure.querySelector(".chart");
    chart.tabIndex = 0;
    chart.setAttribute("role", "group");
    chart.setAttribute(
      "aria-label",
      "Events over time. Arrow keys choose a span, with Shift a longer one, Enter shows its events.",
    );
    this.svg.addEventListener("pointerover", (event) => name(event.target.closest("a")));
    this.svg.addEventListener("pointerdown", (event) => this.begin(event));
    this.svg.addEventListener("pointermove", (event) => this.extend(event));
    this.svg.addEventListener("pointerup", () => this.end());
    this.svg.addEventListener("pointercancel", () => this.clear());
    // Dragging a link would drag the link.
    this.svg.addEventListener("dragstart", (event) => event.preventDefault());
    this.svg.addEventListener("click", (event) => event.preventDefault());
    chart.addEventListener("keydown", (event) => this.press(event));
    chart.addEventListener("blur", () => this.clear());
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * this.bars.length);
    return Math.min(Math.max(place, 0), this.bars.length - 1);
  }

  begin(event) {
    if (event.button !== 0) {
      return;
    }
    this.svg.setPointerCapture(event.pointerId);
    this.dragging = true;
    this.from = this.to = this.at(event);
    this.paint();
  }

  extend(event) {
    if (this.dragging) {
      this.to = this.at(event);
      this.paint();
    }
  }

  end() {
    if (this.dragging) {
      this.dragging = false;
      this.go();
    }
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      const last = this.bars.length - 1;
      const start = this.to ?? (step > 0 ? -1 : last + 1);
      this.to = Math.min(Math.max(start + step, 0), last);
      if (!event.shiftKey || this.from === null) {
        this.from = this.to;
      }
      this.paint();
    } else if (event.key === "Enter" && this.from !== null) {
      this.go();
    } else if (event.key === "Escape") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
  }

  ends() {
    const [first, last] = [this.from, this.to].sort((one, other) => one - other);
    return [this.bars[first], this.bars[last], first, last];
  }

  paint() {
    const [one, other, first, last] = this.ends();
    this.bars.forEach((bar, place) => {
      bar.classList.toggle("chosen", first <= place && place <= last);
    });
    const chosen = this.bars.slice(first, last + 1);
    const events = chosen.reduce((sum, bar) => sum + Number(bar.dataset.count), 0);
    this.choice.textContent = spanWords(one.dataset.since, other.dataset.until, events);
  }

  clear() {
    this.dragging = false;
    this.from = this.to = null;
    this.bars.forEach((bar) => bar.classList.remove("chosen"));
    this.choice.textContent = "";
  }

  go() {
    const [one, other] = this.ends();
    location.assign(windowAddress(location.href, one.dataset.since, other.dataset.until));
  }
}
