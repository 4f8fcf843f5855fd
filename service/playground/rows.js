/** The list of what was found, and the labels by which it can be narrowed. */

import { countLabels } from "./choice.js";
import { colourOf } from "./colours.js";
import { percent, shownOf } from "./drawing.js";

/** Detections as rows. One is in the order of Tab; arrows, Home and End lead to the others. */
export class Rows {
  #detections = [];

  /** @param onPoint called with a row's detection, or null; @param onPress when it is pressed */
  constructor(list, onPoint, onPress) {
    this.list = list;
    list.addEventListener("pointerover", (event) => onPoint(this.#of(event.target)));
    list.addEventListener("pointerleave", () => onPoint(null));
    list.addEventListener("focusin", (event) => onPoint(this.#of(event.target)));
    list.addEventListener("focusout", () => onPoint(null));
    list.addEventListener("click", (event) => onPress(this.#of(event.target)));
    list.addEventListener("keydown", (event) => this.#walk(event));
  }

  show(detections) {
    const focused = this.#detections[this.#buttons().indexOf(document.activeElement)];
    this.#detections = detections;
    this.list.replaceChildren(...detections.map((one, index) => rowOf(one, index === 0)));
    const again = detections.indexOf(focused);
    if (again >= 0) this.#focus(again);
  }

  /** Mark the row that is pointed at, and bring it into view if it is not the list's own doing. */
  mark(active, pinned) {
    this.#buttons().forEach((button, index) => {
      const detection = this.#detections[index];
      button.dataset.active = String(detection === active);
      button.setAttribute("aria-pressed", String(detection === pinned));
      if (detection === active && !this.list.matches(":hover")) scrollWithin(this.list, button);
    });
  }

  #of(element) {
    const index = this.#buttons().indexOf(element.closest("button"));
    return this.#detections[index] ?? null;
  }

  #buttons() {
    return [...this.list.querySelectorAll("button")];
  }

  #walk(event) {
    const buttons = this.#buttons();
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    this.#focus(Math.min(Math.max(to, 0), buttons.length - 1));
  }

  #focus(index) {
    this.#buttons().forEach((button, other) => (button.tabIndex = other === index ? 0 : -1));
    this.#buttons()[index].focus();
  }
}

/** Labels with their counts, as buttons that keep only theirs; none where there is one label. */
export function showLabels(group, detections, kept, onToggle) {
  const counts = countLabels(detections);
  const names = new Set([...counts.map(([name]) => name), ...kept]);
  group.hidden = names.size < 2;
  const focused = group.contains(document.activeElement) && document.activeElement.dataset.label;
  const of = new Map(counts);
  group.replaceChildren(...[...names].map((name) => chipOf(name, of.get(name) ?? 0, kept, onToggle)));
  if (focused) group.querySelector(`[data-label="${CSS.escape(focused)}"]`)?.focus();
}

/** A classifier's classes as bars. */
export function showClasses(list, classifications) {
  list.replaceChildren(
    ...classifications.map(({ label, score }) => {
      const row = element("div", "row class");
      row.append(element("span", "row-label", label), element("span", "row-score", percent(score)));
      row.append(meter(score));
      return item(row);
    }),
  );
}

function rowOf(detection, reachable) {
  const { label, score } = shownOf(detection);
  const row = element("button", "row");
  row.type = "button";
  row.tabIndex = reachable ? 0 : -1;
  row.style.setProperty("--colour", colourOf(detection.label));
  const swatch = element("span", "swatch");
  swatch.ariaHidden = "true";
  row.append(swatch, element("span", "row-label", label), element("span", "row-score", percent(score)));
  row.append(meter(score));
  return item(row);
}

function chipOf(name, count, kept, onToggle) {
  const chip = element("button", "chip", name);
  chip.type = "button";
  chip.dataset.label = name;
  chip.setAttribute("aria-pressed", String(kept.has(name)));
  chip.append(element("span", "count", String(count)));
  chip.addEventListener("click", () => onToggle(name));
  return chip;
}

function meter(score) {
  const bar = element("span", "meter");
  bar.ariaHidden = "true";
  const filled = element("span", "");
  filled.style.setProperty("--share", score);
  bar.append(filled);
  return bar;
}

function item(content) {
  const found = document.createElement("li");
  found.append(content);
  return found;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Unlike scrollIntoView, leaves the page where it is. */
function scrollWithin(list, child) {
  const [outer, inner] = [list.getBoundingClientRect(), child.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}
