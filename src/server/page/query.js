// What is asked: a picture, boxes in it, and options. It never changes; what differs is a new one.

/** Hits of a first answer, how many more each time, and at most. */
export const FIRST = 24;
const MOST = 1000;
/** Hits that the service tells the similarity of every patch of. */
const MOST_MAPS = 200;
export const FLAGS = ["exact", "mirrored", "turned", "group_duplicates"];

export class Query {
  collection = "";
  /** What the service says of an image, one of the uploads, or none. */
  picture = null;
  /** `{ at: [x, y, w, h], not }`, in pixels. */
  boxes = [];
  /** Whether the whole picture is asked for, where there is no box. */
  whole = false;
  where = "";
  exact = false;
  mirrored = false;
  turned = false;
  group_duplicates = false;
  min_probability = 0;
  top = FIRST;

  constructor(values) {
    Object.assign(this, values);
  }

  with(values) {
    return new Query({ ...this, ...values });
  }

  get isAsked() {
    return Boolean(this.picture) && (this.whole || this.boxes.length > 0);
  }

  get more() {
    return Math.min(this.top * 2, MOST);
  }

  boxesOf(not) {
    return this.boxes.filter((box) => Boolean(box.not) === not).map((box) => box.at);
  }

  /** Stored patches are asked as they are; what has to be mirrored or turned is sent as a file. */
  get isIndexed() {
    return Boolean(this.picture?.id) && !this.mirrored && !this.turned;
  }

  get options() {
    const options = { top: this.top };
    if (this.where) options.where = this.where;
    for (const flag of FLAGS) if (this[flag]) options[flag] = true;
    if (this.min_probability > 0) options.min_probability = this.min_probability;
    return options;
  }

  /** Fields of the request beside the picture. */
  get #fields() {
    const [boxes, others] = [this.boxesOf(false), this.boxesOf(true)];
    return {
      collection: this.collection,
      ...(boxes.length && { boxes }),
      ...(others.length && { not_boxes: others }),
    };
  }

  #json(options) {
    return JSON.stringify({ image: this.picture.id, ...this.#fields, ...options });
  }

  #form(options) {
    const { collection, ...boxes } = this.#fields;
    const texts = Object.entries({ ...boxes, options });
    return [["collection", collection], ...texts.map(([name, value]) => [name, JSON.stringify(value)])];
  }

  /** What `fetch` takes; `file` is the picture where it has to be sent. */
  request(file) {
    const options = { ...this.options, ...(this.top <= MOST_MAPS && { heat_maps: true }) };
    if (this.isIndexed) {
      return { method: "POST", headers: { "content-type": "application/json" }, body: this.#json(options) };
    }
    const body = new FormData();
    body.append("image", file, this.picture.path.split("/").pop());
    for (const [name, value] of this.#form(options)) body.append(name, value);
    return { method: "POST", body };
  }

  /** The same for a shell. */
  curl(origin, hasToken) {
    const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
    const parts = ["curl -s"];
    if (hasToken) parts.push('-H "Authorization: Bearer $PATCHDEX_TOKEN"');
    if (this.isIndexed) parts.push("-H 'content-type: application/json'", `--data-raw ${quoted(this.#json(this.options))}`);
    else {
      const named = this.picture.path.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
      parts.push(`-F ${quoted(`image=@"${named}"`)}`);
      for (const [name, value] of this.#form(this.options)) parts.push(`--form-string ${quoted(`${name}=${value}`)}`);
    }
    return [...parts, quoted(`${origin}/v1/search`)].join(" \\\n  ");
  }
}

/** Hits as COCO has results; images by their numbers in a COCO export of the collection. */
export function coco(answer) {
  return answer.hits.map((hit) => ({
    image_id: hit.number,
    file_name: hit.image,
    category_id: 1,
    bbox: hit.box,
    score: hit.score,
    probability: hit.probability,
  }));
}
