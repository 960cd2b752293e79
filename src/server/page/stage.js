// A picture with things drawn over it: boxes, matched patches, a heat-map.

import { draw, make } from "./dom.js";

/** Dark violet over red and orange to pale yellow: lightness rises evenly, so it also reads in grey. */
const COLOURS = [
  [20, 11, 54],
  [66, 10, 104],
  [147, 38, 103],
  [221, 81, 58],
  [252, 165, 10],
  [252, 255, 164],
];
/** Cells of a heat-map along its long side. */
const CELLS = 96;

export class Stage {
  constructor({ width, height }, alt = "") {
    this.width = width;
    this.height = height;
    this.image = make("img", { alt, draggable: "false", loading: "lazy" });
    this.image.addEventListener("error", () => this.element.classList.add("missing"));
    this.heat = make("canvas", { class: "heat", hidden: true, "aria-hidden": "true" });
    this.svg = draw("svg", {
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    this.boxes = draw("g");
    this.matches = draw("g");
    this.svg.append(this.matches, this.boxes);
    this.element = make("span", { class: "stage" }, this.image, this.heat, this.svg);
    this.element.style.setProperty("--ratio", width / height);
  }

  /** Draws boxes; `kind` is a class. */
  drawBoxes(boxes) {
    this.boxes.replaceChildren(...boxes.flatMap(({ at, kind }) => [rectangle(at, "under"), rectangle(at, kind)]));
  }

  /** Draws one side of matches; none: takes them away. Colours say which patch of the other side belongs to which. */
  drawMatches(matches, side, { rectangles = true, heat = true } = {}) {
    const shown = matches ?? [];
    this.matches.replaceChildren(
      ...(rectangles ? shown : []).flatMap((match) => {
        const top = rectangle(match[side], "match");
        top.style.stroke = top.style.fill = colourOf(match, shown);
        return [rectangle(match[side], "under"), top];
      }),
    );
    this.element.classList.toggle("pointed", shown.length > 0);
    this.heat.hidden = !heat || !shown.length;
    if (!this.heat.hidden) this.#drawHeat(shown, side);
  }

  /** Each match warms its patch and what lies close to it, by its similarity. */
  #drawHeat(matches, side) {
    const scale = CELLS / Math.max(this.width, this.height);
    const [width, height] = [this.width, this.height].map((px) => Math.max(1, Math.round(px * scale)));
    const warmth = new Float32Array(width * height);
    const best = Math.max(...matches.map((match) => match.similarity), 1e-6);
    for (const { [side]: box, similarity } of matches) {
      const [x, y, w, h] = box.map((number) => number * scale);
      const [middleX, middleY, radius] = [x + w / 2, y + h / 2, Math.max(w, h, 1)];
      const reach = Math.ceil(radius * 2);
      for (let row = Math.max(0, Math.floor(middleY) - reach); row <= Math.min(height - 1, middleY + reach); row++) {
        for (let column = Math.max(0, Math.floor(middleX) - reach); column <= Math.min(width - 1, middleX + reach); column++) {
          const far = ((column + 0.5 - middleX) ** 2 + (row + 0.5 - middleY) ** 2) / (radius * radius);
          const warm = (Math.max(0, similarity) / best) * Math.exp(-1.4 * far);
          const at = row * width + column;
          // Neighbours add up, but never beyond one.
          warmth[at] = 1 - (1 - warmth[at]) * (1 - 0.8 * warm);
        }
      }
    }
    const pixels = new ImageData(width, height);
    warmth.forEach((warm, at) => {
      const place = Math.min(warm, 1) * (COLOURS.length - 1);
      const below = Math.min(Math.floor(place), COLOURS.length - 2);
      const share = place - below;
      for (let channel = 0; channel < 3; channel++) {
        pixels.data[4 * at + channel] = COLOURS[below][channel] * (1 - share) + COLOURS[below + 1][channel] * share;
      }
      pixels.data[4 * at + 3] = 90 + 75 * warm;
    });
    Object.assign(this.heat, { width, height });
    this.heat.getContext("2d").putImageData(pixels, 0, 0);
  }
}

function rectangle([x, y, width, height], kind) {
  return draw("rect", { x, y, width, height, class: kind });
}

/** A colour by where in the query a match is: across is the hue, down the lightness. */
function colourOf(match, all) {
  const share = (axis) => {
    const places = all.map((one) => one.query_box[axis]);
    const [least, most] = [Math.min(...places), Math.max(...places)];
    return most > least ? (match.query_box[axis] - least) / (most - least) : 0.5;
  };
  return `hsl(${Math.round(20 + 300 * share(0))} 95% ${Math.round(78 - 26 * share(1))}%)`;
}
