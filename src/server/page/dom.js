// Elements. Text goes in as text, never as markup.

/** The element of the page with that id. */
export const the = (id) => document.getElementById(id);

/** Makes an element of HTML. `on…` are listeners, the rest are properties or attributes. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Makes an element of SVG. */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Calls `seen` whenever `element` comes near what is in sight. */
export function whenSeen(element, seen) {
  new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && seen(), {
    rootMargin: "400px",
  }).observe(element);
}

/** Whether `element` is near what is in sight now. */
export const isSeen = (element) => element.getBoundingClientRect().top < innerHeight + 400;
