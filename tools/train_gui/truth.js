// Every element that is seen, with its box: [class, x0, y0, x1, y1, states]. Boxes are border boxes in CSS pixels,
// cut to what scrolling ancestors and the window show. An element counts when at least half of it, and 5 px each
// way, is on the screen and not covered.
() => {
  // Frameworks let clicks through what is disabled: elementFromPoint would not see it either.
  const solid = document.head.appendChild(document.createElement("style"));
  solid.textContent = "[data-e] { pointer-events: auto !important }";
  const shown = [];
  for (const element of document.querySelectorAll("[data-e]")) {
    const full = boxOf(element);
    let [x0, y0, x1, y1] = [Math.max(0, full.left), Math.max(0, full.top), Math.min(innerWidth, full.right), Math.min(innerHeight, full.bottom)];
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement) {
      if (getComputedStyle(up).overflow === "visible") continue;
      const port = up.getBoundingClientRect();
      [x0, y0, x1, y1] = [Math.max(x0, port.left), Math.max(y0, port.top), Math.min(x1, port.right), Math.min(y1, port.bottom)];
    }
    if (x1 - x0 < 5 || y1 - y0 < 5 || (x1 - x0) * (y1 - y0) < 0.5 * full.width * full.height) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || (style.opacity < 0.1 && !element.dataset.pseudo)) continue;
    // The input itself, unseen, lies above the box that is drawn for it.
    const own = element.dataset.pseudo ? element.parentElement : element;
    let seen = 0;
    for (const fx of [0.15, 0.5, 0.85])
      for (const fy of [0.2, 0.5, 0.8]) {
        const top = document.elementFromPoint(x0 + fx * (x1 - x0), y0 + fy * (y1 - y0));
        if (top && (own.contains(top) || top.contains(own))) seen += 1;
      }
    if (seen < 5) continue;
    const states = new Set((element.dataset.s ?? "").split(" ").filter(Boolean));
    if (element === document.activeElement) states.add("focused");
    shown.push([element.dataset.e, x0, y0, x1, y1, [...states].sort()]);
  }
  solid.remove();
  return shown;

  // Frameworks draw their check boxes as an absolutely placed ::before or ::after of the label.
  function boxOf(element) {
    const rect = element.getBoundingClientRect();
    if (!element.dataset.pseudo) return rect;
    const style = getComputedStyle(element, element.dataset.pseudo);
    const side = (name) => parseFloat(style[name]) || 0;
    const borders = style.boxSizing === "border-box" ? [0, 0] : [side("borderLeftWidth") + side("borderRightWidth"), side("borderTopWidth") + side("borderBottomWidth")];
    const own = getComputedStyle(element);
    const base = style.position === "absolute" && own.position === "static" ? element.offsetParent.getBoundingClientRect() : rect;
    const left = base.left + side("left") + side("marginLeft"), top = base.top + side("top") + side("marginTop");
    return new DOMRect(left, top, side("width") + borders[0], side("height") + borders[1]);
  }
}
