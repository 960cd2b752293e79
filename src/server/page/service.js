// The service: requests, the token, and what goes wrong (RFC 9457).

const TOKEN = "patchdex-token";

/** A request that the service refused, in words. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail ? `${title}: ${detail}` : title);
    this.status = status;
  }

  static async of(response) {
    const said = await response.json().catch(() => ({}));
    const later = response.headers.get("retry-after");
    const detail = [said.detail, later && `try again in ${later} s`].filter(Boolean).join("; ");
    return new Problem(response.status, said.title || `The service answered ${response.status}`, detail);
  }
}

export class Service {
  /** Asks the user for a token; gets why the last one was refused. */
  askToken = async () => null;
  #token = sessionStorage.getItem(TOKEN);
  #asking = null;
  #facts = new Map();

  get hasToken() {
    return Boolean(this.#token);
  }

  /** A response that is well, or a Problem. */
  async fetch(path, { headers, ...init } = {}) {
    for (;;) {
      const token = this.#token;
      const all = token ? { ...headers, authorization: `Bearer ${token}` } : headers;
      let response;
      try {
        response = await fetch(path, { ...init, headers: all });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Problem(0, "The service does not answer", "is it still running?");
      }
      if (response.ok) return response;
      const problem = await Problem.of(response);
      if (problem.status !== 401) throw problem;
      if (token === this.#token) await this.#renewToken(token && problem.message, problem);
    }
  }

  /** However many requests are refused, the user is asked once. */
  async #renewToken(why, problem) {
    this.#asking ??= this.askToken(why).finally(() => (this.#asking = null));
    const token = await this.#asking;
    if (!token) throw problem;
    this.#token = token;
    sessionStorage.setItem(TOKEN, token);
  }

  async json(path, init) {
    return (await this.fetch(path, init)).json();
  }

  async collections() {
    return (await this.json("/v1/collections")).collections;
  }

  /** A page of images, and what leads to the next. */
  async images(collection, { where, after, limit = 60, signal }) {
    const asked = new URLSearchParams({ collection, limit });
    if (where) asked.set("where", where);
    if (after) asked.set("after", after);
    const page = await this.json(`/v1/images?${asked}`, { signal });
    for (const image of page.images) this.#facts.set(`${collection}/${image.id}`, Promise.resolve(image));
    return page;
  }

  /** Size, path and links of an image; asked for once. */
  image(collection, id) {
    const key = `${collection}/${id}`;
    if (!this.#facts.has(key)) {
      const asked = this.json(`/v1/images/${encodeURIComponent(id)}?${new URLSearchParams({ collection })}`);
      asked.catch(() => this.#facts.delete(key));
      this.#facts.set(key, asked);
    }
    return this.#facts.get(key);
  }

  /** Where a small picture of an image is. */
  thumbnail(collection, id, px) {
    return `/v1/images/${encodeURIComponent(id)}/thumbnail?${new URLSearchParams({ px, collection })}`;
  }

  async file(path, signal) {
    return (await this.fetch(path, { signal })).blob();
  }

  /** Has `img` show what `path` leads to. An element sends no token, so with one the bytes are fetched here. */
  async show(img, path) {
    if (!this.#token) {
      img.src = path;
      return;
    }
    try {
      const url = URL.createObjectURL(await this.file(path));
      const done = () => URL.revokeObjectURL(url);
      img.addEventListener("load", done, { once: true });
      img.addEventListener("error", done, { once: true });
      img.src = url;
    } catch {
      img.dispatchEvent(new Event("error"));
    }
  }
}
