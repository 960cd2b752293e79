// One image, large, with all its hits.

import { make } from "./dom.js";
import { copiesOf, figuresOf, metadataOf } from "./hits.js";
import { Stage } from "./stage.js";

/** Fires `search` with `{ facts, box }`. */
export class Viewer extends EventTarget {
  #hits = [];
  #at = 0;
  #facts = null;
  #stage = null;

  constructor(dialog, service) {
    super();
    this.dialog = dialog;
    this.service = service;
    const button = (text, act, kind) => make("button", { type: "button", class: kind, onclick: act }, text);
    const toggle = () => make("input", { type: "checkbox", onchange: () => this.#draw() });
    this.title = make("h2", { id: "viewer-title" });
    this.status = make("p", { class: "figures", role: "status", "aria-live": "polite" });
    this.picture = make("div", { class: "large" });
    this.about = make("div");
    this.steps = [button("Previous hit", () => this.#step(-1)), button("Next hit", () => this.#step(1))];
    [this.matches, this.heat] = [toggle(), toggle()];
    dialog.append(
      make("div", { class: "bar" }, this.title, button("Close", () => dialog.close())),
      this.status,
      this.picture,
      make(
        "div",
        { class: "bar" },
        button("Search from here", () => this.#search(), "main"),
        ...this.steps,
        make("label", {}, this.matches, " matches"),
        make("label", {}, this.heat, " heat-map"),
        button("Save file", () => this.#save()),
      ),
      this.about,
    );
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", ({ key }) => this.#step({ ArrowLeft: -1, ArrowRight: 1 }[key] ?? 0));
  }

  get #hit() {
    return this.#hits[this.#at];
  }

  /** Opens on one of the hits. */
  open(collection, hits, at) {
    this.collection = collection;
    this.#hits = hits;
    if (!this.dialog.open) this.dialog.showModal();
    return this.#show(at);
  }

  #step(by) {
    if (by && this.#hits[this.#at + by]) this.#show(this.#at + by);
  }

  async #show(at) {
    this.#at = at;
    const hit = this.#hit;
    this.title.textContent = hit.image;
    this.status.textContent = `Hit ${hit.rank} of ${this.#hits.length}: ${figuresOf(hit)}`;
    this.#facts = this.#stage = null;
    this.picture.replaceChildren();
    this.about.replaceChildren();
    this.steps.forEach((step, next) => (step.disabled = !this.#hits[at + (next ? 1 : -1)]));
    let facts;
    try {
      facts = await this.service.image(this.collection, hit.id);
    } catch (problem) {
      this.about.textContent = problem.message;
      return;
    }
    if (hit !== this.#hit) return;
    this.#facts = facts;
    this.#stage = new Stage(facts, `${hit.image}, with its hits`);
    this.service.show(this.#stage.image, this.service.thumbnail(this.collection, hit.id, 2048));
    this.picture.append(this.#stage.element);
    this.#draw();
    const copies = new Set([...(facts.copies ?? []), ...(hit.duplicates ?? [])]);
    copies.delete(hit.image);
    this.about.append(
      make("p", { class: "path" }, `${hit.image} (${facts.width} × ${facts.height} pixels)`),
      copies.size ? make("p", { class: "path" }, `${copiesOf(hit) || "Copies"}: ${[...copies].join(", ")}`) : "",
      metadataOf(hit.metadata) ?? "",
    );
  }

  #draw() {
    const others = this.#hits.filter((one) => one.id === this.#hit.id && one !== this.#hit);
    const boxes = others.map((one) => ({ at: one.box, kind: "other" }));
    this.#stage?.drawBoxes([...boxes, { at: this.#hit.box, kind: "hit" }]);
    const show = { rectangles: this.matches.checked, heat: this.heat.checked };
    this.#stage?.drawMatches(this.#hit, "patch_box", show);
  }

  #search() {
    if (!this.#facts) return;
    this.dialog.close();
    this.dispatchEvent(new CustomEvent("search", { detail: { facts: this.#facts, box: this.#hit.box } }));
  }

  async #save() {
    if (!this.#facts) return;
    try {
      const url = URL.createObjectURL(await this.service.file(this.#facts.links.file));
      make("a", { href: url, download: this.#hit.image.split("/").pop() }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } catch (problem) {
      this.status.textContent = problem.message;
    }
  }
}
