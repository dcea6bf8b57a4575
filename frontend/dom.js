/** Small helpers over the DOM. Text goes in through text nodes only, never as markup. */

/** Build an element: attributes by name (null leaves one out), children as nodes or strings. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children);
  return node;
}

/** A button that never submits a form. */
export function button(attributes, label, onClick) {
  const node = el("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", onClick);
  return node;
}

/** Change the text only when it differs: an unchanged poll must touch no node. */
export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Set an attribute only when it differs; null or false removes it. */
export function setAttribute(node, name, value) {
  const gone = value === null || value === undefined || value === false;
  if (gone && node.hasAttribute(name)) node.removeAttribute(name);
  if (!gone && node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/**
 * Make the children of `parent` the views of `items`, in their order, keeping the node of each key.
 * `views` is a Map from key to view; a view has `node` and `update(item)`.
 */
export function updateKeyed(parent, views, items, keyOf, create) {
  const wanted = new Set(items.map(keyOf));
  for (const [key, view] of views) {
    if (wanted.has(key)) continue;
    view.node.remove();
    views.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    if (!views.has(key)) views.set(key, create(item));
    const view = views.get(key);
    view.update(item);
    if (parent.children[index] !== view.node) parent.insertBefore(view.node, parent.children[index] ?? null);
  });
}
