// The width of the list: pulled or moved with the arrow keys, remembered in this browser.
import { byId } from "./dom";

const LEAST = 260;
const MOST = 560;
const STEP = 20;

function set(width: number): void {
  const to = Math.round(Math.min(Math.max(width, LEAST), MOST));
  byId("panes")?.style.setProperty("--list", `${to}px`);
  byId("splitter")?.setAttribute("aria-valuenow", String(to));
  localStorage.setItem("list", String(to));
}

export function startSplitter(): void {
  const splitter = byId("splitter");
  const list = byId("list");
  if (!splitter || !list) return;
  const remembered = Number(localStorage.getItem("list"));
  if (remembered) set(remembered);
  splitter.addEventListener("pointerdown", (event) => {
    splitter.setPointerCapture(event.pointerId);
    splitter.classList.add("is-pulled");
  });
  splitter.addEventListener("pointermove", (event) => {
    if (splitter.hasPointerCapture(event.pointerId)) set(event.clientX - list.getBoundingClientRect().left);
  });
  splitter.addEventListener("lostpointercapture", () => splitter.classList.remove("is-pulled"));
  splitter.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (by) set(list.offsetWidth + by);
  });
}
