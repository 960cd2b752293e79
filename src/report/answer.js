// The matches of the hit that is pointed at (or has the focus) are shown in the query image too.
const groups = document.querySelectorAll(".query g");
const show = (hit) => groups.forEach((group) => group.classList.toggle("shown", group.dataset.hit === hit));
for (const card of document.querySelectorAll(".hit")) {
  for (const event of ["pointerenter", "focus"]) card.addEventListener(event, () => show(card.dataset.hit));
}
show("1");
