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

  /** Draws one side of a hit's matches; none: takes them away. Colours say which patch of the other side belongs to which. */
  drawMatches(hit, side, { rectangles = true, heat = true } = {}) {
    const shown = hit?.matches ?? [];
    this.matches.replaceChildren(
      ...(rectangles ? shown : []).flatMap((match) => {
        const top = rectangle(match[side], "match");
        top.style.stroke = top.style.fill = colourOf(match, shown);
        return [rectangle(match[side], "under"), top];
      }),
    );
    this.element.classList.toggle("pointed", shown.length > 0);
    this.heat.hidden = !heat || !shown.length;
    if (this.heat.hidden) return;
    if (side === "patch_box" && hit.heat_map) this.#drawMap(hit.heat_map);
    else this.#drawWarmth(shown, side);
  }

  /** A pixel a patch: from the median to the best of the image. */
  #drawMap({ box: [x, y, width, height], rows, columns, similarity }) {
    const sorted = similarity.toSorted((a, b) => a - b);
    const [low, high] = [sorted[sorted.length >> 1], sorted.at(-1)];
    const pixels = new ImageData(columns, rows);
    similarity.forEach((value, at) => pixels.data.set(coloured(Math.max(0, value - low) / Math.max(1, high - low)), 4 * at));
    Object.assign(this.heat, { width: columns, height: rows });
    this.heat.getContext("2d").putImageData(pixels, 0, 0);
    const share = (part, whole) => `${(100 * part) / whole}%`;
    Object.assign(this.heat.style, {
      left: share(x, this.width),
      top: share(y, this.height),
      width: share(width, this.width),
      height: share(height, this.height),
    });
  }

  /** Each match warms its patch and what lies close to it, by its similarity. Neighbours add up, but never beyond one. */
  #drawWarmth(matches, side) {
    const scale = CELLS / Math.max(this.width, this.height);
    const [width, height] = [this.width, this.height].map((px) => Math.ceil(px * scale));
    const best = Math.max(...matches.map((match) => match.similarity), 1e-6);
    const warmed = matches.map(({ [side]: [x, y, w, h], similarity }) => ({
      x: (x + w / 2) * scale,
      y: (y + h / 2) * scale,
      radius: Math.max(w * scale, h * scale, 1),
      warmth: (0.8 * Math.max(0, similarity)) / best,
    }));
    const pixels = new ImageData(width, height);
    for (let at = 0; at < width * height; at++) {
      let cold = 1;
      for (const { x, y, radius, warmth } of warmed) {
        const far = Math.hypot((at % width) + 0.5 - x, Math.floor(at / width) + 0.5 - y) / radius;
        if (far < 2) cold *= 1 - warmth * Math.exp(-1.4 * far * far);
      }
      pixels.data.set(coloured(1 - cold), 4 * at);
    }
    Object.assign(this.heat, { width, height });
    this.heat.getContext("2d").putImageData(pixels, 0, 0);
  }
}

/** The colour of a warmth from 0 to 1, the colder the more transparent. */
function coloured(warmth) {
  const place = warmth * (COLOURS.length - 1);
  const below = Math.min(Math.floor(place), COLOURS.length - 2);
  const colour = COLOURS[below].map((from, channel) => from + (COLOURS[below + 1][channel] - from) * (place - below));
  return [...colour, 90 + 75 * warmth];
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
