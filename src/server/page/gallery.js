// The images of a collection: a grid that goes on as one scrolls.

import { isSeen, make } from "./dom.js";
import { Stage } from "./stage.js";

/** Fires `pick` with an image as its detail. */
export class Gallery extends EventTarget {
  #asked = null;
  #next = null;
  #isBusy = false;
  #going = null;

  constructor(list, service) {
    super();
    this.list = list;
    this.service = service;
  }

  /** Shows the first images; gives how many there are. What fails is the caller's. */
  async show(collection, where) {
    this.hide();
    this.#going = new AbortController();
    this.#asked = { collection, where, signal: this.#going.signal };
    return this.#page(this.#asked);
  }

  hide() {
    this.#going?.abort();
    this.#asked = this.#next = null;
    this.#isBusy = false;
    this.list.replaceChildren();
  }

  /** Adds the next images, where there are some. */
  async more() {
    const asked = this.#asked;
    while (asked && asked === this.#asked && this.#next && !this.#isBusy && isSeen(this.list.nextElementSibling)) {
      await this.#page(asked, this.#next);
    }
  }

  async #page(asked, after) {
    this.#isBusy = true;
    try {
      const page = await this.service.images(asked.collection, { ...asked, after });
      if (asked !== this.#asked) return null;
      this.#next = page.next;
      this.list.append(...page.images.map((image) => this.#entry(asked.collection, image)));
      return { total: page.total };
    } finally {
      if (asked === this.#asked) this.#isBusy = false;
    }
  }

  #entry(collection, image) {
    const stage = new Stage(image);
    this.service.show(stage.image, this.service.thumbnail(collection, image.id, 320));
    const pick = () => this.dispatchEvent(new CustomEvent("pick", { detail: image }));
    const button = make(
      "button",
      { type: "button", onclick: pick },
      make("span", { class: "frame" }, stage.element),
      make("span", { class: "path" }, image.path),
    );
    return make("li", { class: "card" }, button);
  }
}
