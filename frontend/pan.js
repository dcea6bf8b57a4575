/** Scrolling a list by a mouse that drags it: where the desktop makes a mouse of a finger, nothing else would. */

const STARTS_PX = 8;

/** Whatever in `host` matches `selector` and is longer than its room follows the mouse. */
export function panByMouse(host, selector) {
  let pan = null;

  host.addEventListener("pointerdown", ({ target, pointerType, button, clientY }) => {
    const node = pointerType !== "touch" && button === 0 ? target.closest(selector) : null;
    pan = node && node.scrollHeight > node.clientHeight ? { node, y: clientY, top: node.scrollTop, moved: false } : null;
  });
  host.addEventListener("pointermove", ({ pointerId, clientY }) => {
    if (!pan || (!pan.moved && Math.abs(clientY - pan.y) < STARTS_PX)) return;
    // Captured, the click that ends it goes to the host and not to what is under the mouse.
    if (!pan.moved) host.setPointerCapture(pointerId);
    pan.moved = true;
    pan.node.scrollTop = pan.top + pan.y - clientY;
  });
  for (const name of ["pointerup", "pointercancel"]) host.addEventListener(name, () => { pan = null; });
}
