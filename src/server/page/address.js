// The address: a query as the part of the URL behind '#', and back.

import { FIRST, FLAGS, Query } from "./query.js";

const numbers = (boxes) => boxes.map((box) => box.join(",")).join(";");

/** `#…` of a query. A picture of one's own is only a number there, which means something in this tab alone. */
export function written(query) {
  const parts = [];
  const put = (name, value) => {
    if (value) parts.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%3B", ";")}`);
  };
  put("collection", query.collection);
  put("image", query.picture?.id);
  put("upload", query.picture?.upload);
  put("boxes", numbers(query.boxesOf(false)));
  put("not", numbers(query.boxesOf(true)));
  if (!query.boxes.length) put("whole", query.whole && "1");
  put("where", query.where);
  for (const flag of FLAGS) put(flag, query[flag] && "1");
  put("min_probability", query.min_probability > 0 && query.min_probability);
  if (query.top !== FIRST) put("top", query.top);
  return `#${parts.join("&")}`;
}

/** The query of `#…`, with `image` or `upload` where a picture has to be found; what makes no sense is left out. */
export function read(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const boxes = (name, not) =>
    (said.get(name) ?? "")
      .split(";")
      .map((text) => text.split(",").map(Number))
      .filter((box) => box.length === 4 && box.every(Number.isFinite) && box[2] > 0 && box[3] > 0)
      .map((at) => ({ at, not }));
  const number = (name, least, most, otherwise) => {
    const value = Number(said.get(name) ?? NaN);
    return value >= least && value <= most ? value : otherwise;
  };
  const query = new Query({
    collection: said.get("collection") ?? "",
    boxes: [...boxes("boxes", false), ...boxes("not", true)],
    whole: said.get("whole") === "1",
    where: said.get("where") ?? "",
    min_probability: number("min_probability", 0, 1, 0),
    top: Math.round(number("top", 1, 1000, FIRST)),
    ...Object.fromEntries(FLAGS.map((flag) => [flag, said.get(flag) === "1"])),
  });
  return { query, image: said.get("image"), upload: said.get("upload") };
}
