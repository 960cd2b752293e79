// One image, large, with all its hits.

import { make } from "./dom.js";
import { copiesOf, metadataOf, percent } from "./hits.js";
import { Stage } from "./stage.js";

/** Fires `search` with `{ facts, box }`. */
export class Viewer extends EventTarget {
  #hits = [];
  #at = 0;
  #stage = null;

  constructor(dialog, service) {
    super();
    this.dialog = dialog;
    this.service = service;
    this.close = make("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "Close");
    this.title = make("h2", { id: "viewer-title" });
    this.body = make("div");
    this.matches = make("input", { type: "checkbox", onchange: () => this.#draw() });
    this.heat = make("input", { type: "checkbox", onchange: () => this.#draw() });
    const step = (by, text) => make("button", { type: "button", onclick: () => this.#step(by) }, text);
    this.steps = make("span", { class: "bar" }, step(-1, "Previous hit"), step(1, "Next hit"));
    this.status = make("p", { class: "figures", role: "status", "aria-live": "polite" });
    const head = make("div", { class: "bar" }, this.title, this.close);
    dialog.append(head, this.status, this.body);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by && event.target.type !== "checkbox") this.#step(by);
    });
  }

  /** Opens on one of the hits. */
  async open(collection, hits, at) {
    this.collection = collection;
    this.#hits = hits;
    this.#at = at;
    this.body.replaceChildren();
    if (!this.dialog.open) this.dialog.showModal();
    await this.#show();
  }

  async #step(by) {
    const next = this.#at + by;
    if (!this.#hits[next]) return;
    this.#at = next;
    await this.#show();
  }

  async #show() {
    const hit = this.#hits[this.#at];
    this.title.textContent = hit.image;
    const what = `probability ${percent(hit.probability)}, score ${hit.score.toFixed(3)}`;
    this.status.textContent = `Hit ${hit.rank} of ${this.#hits.length}: ${what}`;
    for (const [button, by] of [...this.steps.children].map((button, at) => [button, at ? 1 : -1])) {
      button.disabled = !this.#hits[this.#at + by];
    }
    let facts;
    try {
      facts = await this.service.image(this.collection, hit.id);
    } catch (problem) {
      this.body.replaceChildren(make("p", { class: "path" }, problem.message));
      return;
    }
    if (hit !== this.#hits[this.#at]) return;
    this.#stage = new Stage(facts, `${hit.image}, with its hits`);
    this.service.show(this.#stage.image, this.service.thumbnail(this.collection, hit.id, 2048));
    const copies = [...new Set([...facts.copies ?? [], ...hit.duplicates ?? []])].filter((path) => path !== hit.image);
    const search = () => {
      this.dialog.close();
      this.dispatchEvent(new CustomEvent("search", { detail: { facts, box: hit.box } }));
    };
    const focus = this.body.contains(document.activeElement) && document.activeElement.textContent;
    this.body.replaceChildren(
      make("div", { class: "large" }, this.#stage.element),
      make(
        "div",
        { class: "bar" },
        make("button", { type: "button", class: "main", onclick: search }, "Search from here"),
        this.steps,
        make("label", {}, this.matches, " matches"),
        make("label", {}, this.heat, " heat-map"),
        make("button", { type: "button", onclick: () => this.#download(facts, hit) }, "Save file"),
      ),
      make("p", { class: "path" }, `${hit.image} (${facts.width} × ${facts.height} pixels)`),
      copies.length ? make("p", { class: "path" }, `${copiesOf(hit) || "Copies"}: ${copies.join(", ")}`) : "",
      metadataOf(hit.metadata) ?? "",
    );
    if (focus) [...this.body.querySelectorAll("button")].find((one) => one.textContent === focus && !one.disabled)?.focus();
    this.#draw();
  }

  #draw() {
    const hit = this.#hits[this.#at];
    const others = this.#hits.filter((one) => one.id === hit.id && one !== hit);
    this.#stage?.drawBoxes([...others.map((one) => ({ at: one.box, kind: "other" })), { at: hit.box, kind: "hit" }]);
    const show = { rectangles: this.matches.checked, heat: this.heat.checked };
    this.#stage?.drawMatches(hit.matches, "patch_box", show);
  }

  async #download(facts, hit) {
    try {
      const url = URL.createObjectURL(await this.service.file(facts.links.file));
      make("a", { href: url, download: hit.image.split("/").pop() }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    } catch (problem) {
      this.status.textContent = problem.message;
    }
  }
}
