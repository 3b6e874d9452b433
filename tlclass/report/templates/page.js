"use strict";
// Sort a table by the column that is clicked: numbers by value, everything else by letters.
const value = (row, column) => row.cells[column].textContent.trim();
const number = (text) => {
  const found = text.replace(/,/g, "").match(/^[\[(]?[-+]?\d*\.?\d+(e[-+]?\d+)?/i);
  return found ? parseFloat(found[0].replace(/^[\[(]/, "")) : NaN;
};
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const order = (one, two) => {
      const a = value(one, column), b = value(two, column), x = number(a), y = number(b);
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1; // what is no number stays last
      return sign * (isNaN(x) ? a.localeCompare(b) : x - y);
    };
    body.append(...[...body.rows].sort(order));
  });
}
// Show the text of the point that is nearest to the pointer. Without this script a browser shows it as a title.
const tip = document.getElementById("tip"), REACH = 14;
for (const drawing of document.querySelectorAll("svg.drawing")) {
  const points = [...drawing.querySelectorAll(".hover")];
  for (const point of points) {
    const title = point.querySelector("title");
    point.dataset.text = title.textContent;
    title.remove();
  }
  drawing.addEventListener("pointermove", (event) => {
    let nearest = null, least = REACH;
    for (const point of points) {
      const box = point.getBoundingClientRect();
      const dx = Math.abs(event.clientX - (box.left + box.right) / 2), dy = Math.abs(event.clientY - (box.top + box.bottom) / 2);
      const inside = dx <= box.width / 2 && dy <= box.height / 2 && box.width > 2 * REACH;
      const distance = inside ? REACH / 2 : Math.max(0, Math.hypot(dx, dy));
      if (distance < least) { least = distance; nearest = point; }
    }
    tip.hidden = !nearest;
    if (!nearest) return;
    tip.textContent = nearest.dataset.text;
    const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${event.clientY + 14 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 14}px`;
  });
  drawing.addEventListener("pointerleave", () => { tip.hidden = true; });
}
