// Puts controls of a page into states and back, as frameworks do it: attribute, ARIA, classes, also of the wrapper
// and of the unseen input behind a drawn box. Whether anything is to be seen of it, the pictures tell.
() => {
  const CLASSES = {
    "": ["disabled", "is-disabled", "uk-disabled", "bp6-disabled", "ant-input-disabled", "ant-checkbox-disabled", "ant-radio-disabled",
         "ant-select-disabled", "ant-switch-disabled", "ant-slider-disabled", "ant-tabs-tab-disabled",
         "ant-menu-item-disabled", "ant-dropdown-menu-item-disabled", "pure-menu-disabled", "t-off"],
    button: ["btn-disabled", "pure-button-disabled"],
    tab: ["tab-disabled"],
  };
  const FOCUSED = ["is-focus", "is-focused", "ant-input-focused", "ant-select-focused", "bp6-focus", "t-focus"];
  const kept = new Map();
  const all = [...document.querySelectorAll("[data-e]")];
  all.forEach((element, i) => (element.dataset.s = `${element.dataset.s ?? ""} #${i}`.trim()));
  window.states = { disable, focus, undo };

  // The element, wrappers that hold it alone, and inputs in them.
  function related(element) {
    const found = [element];
    for (let up = element.parentElement, n = 0; up && n < 3; up = up.parentElement, n += 1) {
      if (up.querySelectorAll("[data-e]").length !== 1 || /\bt-(card|main|side|bar|columns|prose|setting|field|panel)\b/.test(up.className)) break;
      if (["TD", "TR", "TBODY", "BODY"].includes(up.tagName)) break;
      found.push(up);
    }
    const inputs = [...found[found.length - 1].querySelectorAll("input")].filter((input) => !input.dataset.e);
    return [...found, ...inputs];
  }

  function keep(element) {
    if (!kept.has(element)) kept.set(element, ["class", "disabled", "aria-disabled", "tabindex"].map((name) => [name, element.getAttribute(name)]));
  }

  function disable(numbers) {
    for (const i of numbers)
      for (const element of related(all[i])) {
        keep(element);
        const names = [...CLASSES[""], ...(element === all[i] ? CLASSES[all[i].dataset.e] ?? [] : [])];
        element.classList.add(...names);
        if (element === all[i] || "disabled" in element) { element.setAttribute("disabled", ""); element.setAttribute("aria-disabled", "true"); }
      }
  }

  function focus(i) {
    const found = related(all[i]);
    found.forEach(keep);
    const input = found.find((element) => element.matches("input, select, textarea, button")) ?? all[i];
    if (input.tabIndex < 0) input.setAttribute("tabindex", "0");
    input.focus({ preventScroll: true, focusVisible: true });
    for (const element of found.slice(0, 3)) element.classList.add(...FOCUSED);
  }

  function undo() {
    document.activeElement?.blur();
    for (const [element, held] of kept)
      for (const [name, value] of held) value === null ? element.removeAttribute(name) : element.setAttribute(name, value);
    kept.clear();
  }
}
