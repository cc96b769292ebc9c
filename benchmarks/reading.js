// Every word that is wholly on the screen: [text as drawn, x0, y0, x1, y1] in CSS pixels; one that is broken over lines
// is two. What is clipped, covered or without a letter, and words at `faint` (places in the list that the last call gave), are hidden, so
// that all words that are left can be read. What fields hold is hidden too: the page does not tell where it stands.
(faint) => {
  const style = document.head.appendChild(document.createElement("style"));
  style.textContent = "input, textarea, select, ::placeholder { color: transparent !important }";
  const words = partsOf();
  const hidden = faint.length ? words.filter((_, place) => faint.includes(place)) : words.filter((word) => !isSeen(word));
  // From the end: what a node is split at does not move the words before.
  for (const { node, start, end } of hidden.reverse()) {
    const range = document.createRange();
    range.setStart(node, start);
    range.setEnd(node, end);
    const cover = document.createElement("span");
    cover.style.cssText = "visibility: hidden; font: inherit";
    range.surroundContents(cover);
  }
  return partsOf().filter(isSeen).map(({ text, box }) => [text, box.left, box.top, box.right, box.bottom]);

  function partsOf() {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());)
      for (const word of node.data.matchAll(/[^\s\uE000-\uF8FF]+/g)) {
        let part = null;
        for (let at = word.index; at < word.index + word[0].length; at++) {
          const range = document.createRange();
          range.setStart(node, at);
          range.setEnd(node, at + 1);
          const box = range.getBoundingClientRect();
          if (!box.width && !box.height) continue;
          if (part && box.top > part.box.bottom - 2) part = null;
          if (!part) found.push((part = { node, start: at, box }));
          part.end = at + 1;
          part.box = union(part.box, box);
          part.text = shownAs(node, part);
        }
      }
    return found;
  }

  function union(a, b) {
    const [left, top] = [Math.min(a.left, b.left), Math.min(a.top, b.top)];
    return new DOMRect(left, top, Math.max(a.right, b.right) - left, Math.max(a.bottom, b.bottom) - top);
  }

  function shownAs(node, { start, end }) {
    const text = node.data.slice(start, end), isFirst = start === 0 || /\s/.test(node.data[start - 1]);
    switch (getComputedStyle(node.parentElement).textTransform) {
      case "uppercase": return text.toUpperCase();
      case "lowercase": return text.toLowerCase();
      case "capitalize": return isFirst ? text[0].toUpperCase() + text.slice(1) : text;
      default: return text;
    }
  }

  function isSeen({ node, text, box }) {
    if (!/[\p{L}\p{N}]/u.test(text)) return false;
    const parent = node.parentElement;
    let port = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    for (let up = parent; up && up !== document.body; up = up.parentElement) {
      const its = getComputedStyle(up);
      if (its.visibility === "hidden" || its.opacity < 0.1) return false;
      if (its.overflow === "visible") continue;
      const { left, top, right, bottom } = up.getBoundingClientRect();
      port = {
        left: Math.max(port.left, left), top: Math.max(port.top, top),
        right: Math.min(port.right, right), bottom: Math.min(port.bottom, bottom),
      };
    }
    if (box.left < port.left - 1 || box.top < port.top - 1 || box.right > port.right + 1 || box.bottom > port.bottom + 1) return false;
    return [0.1, 0.5, 0.9].every((share) => {
      const top = document.elementFromPoint(box.left + share * box.width, (box.top + box.bottom) / 2);
      return top && (top.contains(parent) || parent.contains(top));
    });
  }
}
