// Boxes that the user draws over a picture, with a pointer or with keys.

import { make } from "./dom.js";

const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
/** Least side of a box, in pixels of the picture; what is drawn smaller on the screen was a click. */
const LEAST = 4;
const CLICK = 5;

/** Fires `release` when a box was changed, with "step" where keys did a little, and `select` when another one is meant. */
export class Boxes extends EventTarget {
  #items = [];
  #selected = null;
  #gesture = null;
  /** Whether new boxes mean "not this". */
  drawsNot = false;

  constructor(stage, hint) {
    super();
    this.stage = stage;
    this.hint = hint;
    this.layer = make("div", { class: "boxes" });
    stage.element.append(this.layer);
    this.layer.addEventListener("pointerdown", (event) => this.#begin(event));
    this.layer.addEventListener("pointermove", (event) => this.#go(event));
    this.layer.addEventListener("pointerup", (event) => this.#end(event));
    this.layer.addEventListener("pointercancel", () => this.#cancel());
    this.layer.addEventListener("keydown", (event) => this.#press(event));
    this.layer.addEventListener("focusin", (event) => this.#select(this.#of(event.target)));
  }

  get value() {
    return this.#items.map(({ at, not }) => ({ at: at.map(Math.round), not }));
  }

  /** Replaces all boxes, with no event. */
  set value(boxes) {
    for (const item of this.#items) item.element.remove();
    this.#items = [];
    for (const { at, not } of boxes) this.#create(this.#inside(at), not);
    this.#select(null);
  }

  get selected() {
    return this.#selected;
  }

  /** Adds a box in the middle, for those who do not draw. */
  add() {
    const { width, height } = this.stage;
    const item = this.#create([width / 3, height / 3, width / 3, height / 3], this.drawsNot);
    item.element.focus();
    this.#fire("release");
  }

  remove() {
    const at = this.#items.indexOf(this.#selected);
    if (at < 0) return;
    this.#selected.element.remove();
    this.#items.splice(at, 1);
    const next = this.#items[at] ?? this.#items[at - 1] ?? null;
    this.#select(next);
    next?.element.focus();
    this.#items.forEach((item) => this.#place(item));
    this.#fire("release");
  }

  /** The object becomes what is not meant, or the other way round. */
  switch() {
    if (!this.#selected) return;
    this.#selected.not = !this.#selected.not;
    this.#place(this.#selected);
    this.#fire("release");
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #of(element) {
    return this.#items.find((item) => item.element.contains(element)) ?? null;
  }

  #create(at, not) {
    const element = make(
      "div",
      { class: "box", tabindex: "0", role: "application", "aria-roledescription": "box", "aria-describedby": this.hint },
      ...HANDLES.map((handle) => make("span", { class: `handle ${handle}`, "data-handle": handle })),
    );
    const item = { at, not, element };
    this.#items.push(item);
    this.layer.append(element);
    this.#place(item);
    return item;
  }

  #place(item) {
    const { width, height } = this.stage;
    const [x, y, w, h] = item.at;
    const share = (part, whole) => `${(100 * part) / whole}%`;
    const { style } = item.element;
    [style.left, style.top, style.width, style.height] = [share(x, width), share(y, height), share(w, width), share(h, height)];
    item.element.classList.toggle("not", item.not);
    const [left, top, across, down] = item.at.map(Math.round);
    const what = item.not ? "Not this" : "The object";
    const label = `${what}, box ${this.#items.indexOf(item) + 1}: ${across} by ${down} pixels at ${left}, ${top}`;
    item.element.setAttribute("aria-label", label);
  }

  #select(item) {
    if (this.#selected === item) return;
    this.#selected = item;
    for (const one of this.#items) one.element.classList.toggle("selected", one === item);
    this.#fire("select");
  }

  /** The part of a box that lies in the picture, with least sides. */
  #inside([x, y, w, h]) {
    const { width, height } = this.stage;
    const side = (start, length, whole) => {
      const from = Math.min(Math.max(start, 0), Math.max(whole - LEAST, 0));
      return [from, Math.min(Math.max(start + length, from + LEAST), whole) - from];
    };
    const [[left, across], [top, down]] = [side(x, w, width), side(y, h, height)];
    return [left, top, across, down];
  }

  #moved([x, y, w, h], dx, dy) {
    const { width, height } = this.stage;
    return [Math.min(Math.max(x + dx, 0), width - w), Math.min(Math.max(y + dy, 0), height - h), w, h];
  }

  /** Where an event is, in pixels of the picture, and at most at its edge. */
  #point(event) {
    const { left, top, width, height } = this.layer.getBoundingClientRect();
    const share = (at, start, length) => Math.min(Math.max((at - start) / length, 0), 1);
    return [share(event.clientX, left, width) * this.stage.width, share(event.clientY, top, height) * this.stage.height];
  }

  #begin(event) {
    if (event.button !== 0 || this.#gesture) return;
    event.preventDefault();
    this.layer.setPointerCapture(event.pointerId);
    const item = this.#of(event.target);
    const handle = event.target.dataset.handle;
    const from = this.#point(event);
    this.#gesture = { item, handle, from, before: item?.at, screen: [event.clientX, event.clientY] };
    if (item) item.element.focus();
    else {
      document.activeElement?.blur();
      this.#select(null);
    }
  }

  #go(event) {
    const gesture = this.#gesture;
    if (!gesture) return;
    const [x, y] = this.#point(event);
    const [fromX, fromY] = gesture.from;
    const moved = Math.hypot(event.clientX - gesture.screen[0], event.clientY - gesture.screen[1]);
    if (!gesture.isMoving && moved < CLICK) return;
    gesture.isMoving = true;
    if (!gesture.item) {
      gesture.item = this.#create([fromX, fromY, LEAST, LEAST], this.drawsNot);
      gesture.isNew = true;
      this.#select(gesture.item);
    }
    const { item, handle, before } = gesture;
    if (gesture.isNew) item.at = this.#inside(spanned(fromX, fromY, x, y));
    else if (handle) item.at = this.#inside(stretched(before, handle, x - fromX, y - fromY));
    else item.at = this.#moved(before, x - fromX, y - fromY);
    this.#place(item);
  }

  #end() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (!gesture?.isMoving) return;
    gesture.item.element.focus();
    this.#fire("release");
  }

  #cancel() {
    const gesture = this.#gesture;
    this.#gesture = null;
    if (!gesture?.isMoving) return;
    if (gesture.isNew) {
      gesture.item.element.remove();
      this.#items = this.#items.filter((item) => item !== gesture.item);
      this.#select(null);
    } else {
      gesture.item.at = gesture.before;
      this.#place(gesture.item);
    }
  }

  #press(event) {
    const item = this.#of(event.target);
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.max(1, Math.round(Math.max(this.stage.width, this.stage.height) / 100));
    const arrow = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (arrow) {
      const [x, y, w, h] = item.at;
      const [across, down] = [w + arrow[0], h + arrow[1]].map((side) => Math.max(side, LEAST));
      item.at = event.shiftKey ? this.#inside([x, y, across, down]) : this.#moved(item.at, ...arrow);
      this.#place(item);
      this.#fire("release", "step");
    } else if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else if (event.key.toLowerCase() === "n") this.switch();
    else if (event.key === "Escape" && this.#gesture) this.#cancel();
    else return;
    event.preventDefault();
  }
}

function spanned(x, y, toX, toY) {
  return [Math.min(x, toX), Math.min(y, toY), Math.abs(toX - x), Math.abs(toY - y)];
}

/** A box of which a handle is pulled; a side that is pulled over the other one turns it round. */
function stretched([x, y, w, h], handle, dx, dy) {
  let [left, top, right, bottom] = [x, y, x + w, y + h];
  if (handle.includes("w")) left += dx;
  if (handle.includes("e")) right += dx;
  if (handle.includes("n")) top += dy;
  if (handle.includes("s")) bottom += dy;
  return spanned(left, top, right, bottom);
}
