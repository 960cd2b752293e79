// What was found: a card a hit.

import { make } from "./dom.js";
import { Stage } from "./stage.js";

/** Below it a hit is probably another object. */
const LIKELY = 0.5;

/** A probability that does not claim to be certain. */
function percent(probability) {
  if (probability > 0.99) return "> 99\u00a0%";
  if (probability < 0.01) return "< 1\u00a0%";
  return `${Math.round(100 * probability)}\u00a0%`;
}

/** How sure a hit is, in words. */
export const figuresOf = (hit) => `probability ${percent(hit.probability)}, score\u00a0${hit.score.toFixed(3)}`;

/** Paths of images nearly equal to a hit's, in words. */
export const copiesOf = (hit) => {
  const count = hit.duplicates?.length ?? 0;
  return count ? `+${count} ${count === 1 ? "copy" : "copies"}` : "";
};

/** A list of what the user said about an image. */
export function metadataOf(metadata) {
  const said = Object.entries(metadata ?? {}).filter(([, value]) => value !== null);
  if (!said.length) return null;
  return make("dl", {}, ...said.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))));
}

/** Fires `open` with the place of a hit, and `point` with `{ hit, stage }`, or none, while one is pointed at or has the focus. */
export class Hits extends EventTarget {
  #keys = [];

  constructor(list, service) {
    super();
    this.list = list;
    this.service = service;
  }

  /** Shows hits; with `isMore`, those of the same query that are there already stay as they are. */
  show(collection, hits, isMore) {
    const keys = hits.map((hit) => `${hit.id} ${hit.box}`);
    const isLonger = isMore && this.#keys.every((key, at) => key === keys[at]);
    if (!isLonger) this.list.replaceChildren();
    const first = isLonger ? this.#keys.length : 0;
    this.list.append(...hits.slice(first).map((hit, at) => this.#card(collection, hit, first + at)));
    this.#keys = keys;
  }

  clear() {
    this.#keys = [];
    this.list.replaceChildren();
  }

  #card(collection, hit, at) {
    const frame = make("span", { class: "frame" });
    const likely = hit.probability >= LIKELY;
    const copies = copiesOf(hit);
    const label = `Hit ${hit.rank}: ${hit.image}, probability ${percent(hit.probability)}${copies && `, ${copies}`}. Open`;
    const button = make(
      "button",
      { type: "button", "aria-label": label, onclick: () => this.dispatchEvent(new CustomEvent("open", { detail: at })) },
      frame,
    );
    const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("span"));
    meter.firstChild.style.width = `${100 * hit.probability}%`;
    const card = make(
      "li",
      { class: likely ? "card" : "card unlikely" },
      button,
      make(
        "div",
        { class: "about" },
        make("span", { class: "path" }, `${hit.rank}. ${hit.image}`),
        copies ? make("span", { class: "copies", title: hit.duplicates.join("\n") }, copies) : null,
        meter,
        make("span", { class: "figures" }, figuresOf(hit)),
        likely ? null : make("span", { class: "figures" }, "probably another object"),
        metadataOf(hit.metadata),
      ),
    );
    this.#picture(collection, hit, frame, card);
    return card;
  }

  #picture(collection, hit, frame, card) {
    const stage = new Stage(hit);
    stage.drawBoxes([{ at: hit.box, kind: "hit" }]);
    this.service.show(stage.image, this.service.thumbnail(collection, hit.id, 480));
    frame.append(stage.element);
    const point = (detail) => this.dispatchEvent(new CustomEvent("point", { detail }));
    for (const start of ["pointerenter", "focusin"]) card.addEventListener(start, () => point({ hit, stage }));
    for (const end of ["pointerleave", "focusout"]) card.addEventListener(end, () => point(null));
  }
}
