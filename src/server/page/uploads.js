// Pictures of one's own: chosen, pasted or dropped. They stay in this tab.

/** Fires `picture` with one, and `problem` with an error in words. */
export class Uploads extends EventTarget {
  #held = new Map();

  /** `pick` is a button, `input` the field of files behind it. */
  constructor(pick, input) {
    super();
    pick.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const [file] = input.files;
      this.#take(file);
      input.value = "";
    });
    addEventListener("paste", ({ clipboardData }) =>
      this.#take([...(clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"))),
    );
    const { classList } = document.body;
    addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      classList.add("dropping");
    });
    addEventListener("dragleave", (event) => event.relatedTarget || classList.remove("dropping"));
    addEventListener("drop", (event) => {
      classList.remove("dropping");
      if (event.dataTransfer.files.length) event.preventDefault();
      this.#take(event.dataTransfer.files[0]);
    });
  }

  /** The picture of that number; none after the page was loaded anew. */
  find(number) {
    return this.#held.get(Number(number)) ?? null;
  }

  async #take(file) {
    if (!file) return;
    const image = new Image();
    const url = (image.src = URL.createObjectURL(file));
    const fire = (name, detail) => this.dispatchEvent(new CustomEvent(name, { detail }));
    try {
      await image.decode();
    } catch {
      URL.revokeObjectURL(url);
      return fire("problem", new Error(`This browser cannot show ${file.name || "that"}; JPEG, PNG and WebP will do.`));
    }
    const [upload, path] = [Date.now(), file.name || "pasted.png"];
    const picture = { file, url, path, upload, width: image.naturalWidth, height: image.naturalHeight };
    this.#held.set(upload, picture);
    fire("picture", picture);
  }
}
