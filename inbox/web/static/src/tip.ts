// What an icon does, on hover and on keyboard focus: [data-tip], with its key in [data-tip-key].
import { byId, element } from "./dom";

const DELAY = 400;
let timer = 0;
let about: HTMLElement | null = null;
let tabbed = false;

function show(target: HTMLElement): void {
  const tip = byId("tip");
  const words = target.dataset["tip"];
  if (!tip || !words || !target.isConnected || target.matches('[aria-expanded="true"]')) return;
  tip.replaceChildren(words);
  for (const key of target.dataset["tipKey"]?.split(" ") ?? []) tip.append(element("kbd", "", key));
  tip.showPopover();
  const place = target.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const inRail = target.closest(".rail") && innerWidth >= 768;
  let top = inRail ? place.top + (place.height - own.height) / 2 : place.bottom + 6;
  let left = inRail ? place.right + 8 : place.left + (place.width - own.width) / 2;
  if (top + own.height > innerHeight - 4) top = place.top - own.height - 6;
  left = Math.min(Math.max(left, 4), innerWidth - own.width - 4);
  top = Math.max(top, 4);
  tip.style.top = `${top}px`;
  tip.style.left = `${left}px`;
}

function hide(): void {
  clearTimeout(timer);
  about = null;
  byId("tip")?.hidePopover();
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return;
  const target = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-tip]") : null;
  if (target === about) return;
  hide();
  if (!target) return;
  about = target;
  timer = setTimeout(show, DELAY, target);
});
document.addEventListener("focusin", (event) => {
  const target = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-tip]") : null;
  if (tabbed && target) {
    hide();
    about = target;
    timer = setTimeout(show, DELAY, target);
  }
});
document.addEventListener("focusout", hide);
document.addEventListener("pointerdown", hide, true);
document.addEventListener(
  "keydown",
  (event) => {
    tabbed = event.key === "Tab"; // focus that the page moves itself needs no words
    hide();
  },
  true,
);
document.addEventListener("scroll", hide, true);
