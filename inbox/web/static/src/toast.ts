// Short notes at the foot of the page, with a way back where there is one.
import { byId, element, icon } from "./dom";
import { t } from "./words";

interface Toast {
  text: string;
  alarm?: boolean;
  /** Seconds it stays; six unless told. */
  seconds?: number;
  action?: { label: string; run: () => void | Promise<void>; countdown?: boolean };
}

interface Shown {
  close: () => void;
  undo: (() => void) | null;
}

const MOST = 3;
const shown: Shown[] = [];

export function toast({ text, alarm = false, seconds = alarm ? 10 : 6, action }: Toast): () => void {
  const box = byId("toasts");
  if (!box) return () => undefined;
  const made = element("div", alarm ? "toast toast-alarm" : "toast", element("span", "toast-text", text));
  const timers: number[] = [];
  const entry: Shown = { close: () => close(entry, made, timers), undo: null };
  if (action) {
    const button = element("button", "", action.label);
    button.type = "button";
    const run = () => {
      entry.close();
      void action.run();
    };
    button.addEventListener("click", run);
    entry.undo = run;
    if (action.countdown) countDown(button, seconds, timers);
    made.append(button);
  }
  const closer = element("button", "toast-close", icon("x", "icon-s"));
  closer.type = "button";
  closer.setAttribute("aria-label", t("close"));
  closer.addEventListener("click", entry.close);
  made.append(closer);
  shown.push(entry);
  while (shown.length > MOST) shown[0]?.close();
  box.append(made);
  box.showPopover();
  holdWhileLookedAt(made, seconds, entry, timers);
  return entry.close;
}

/** Run the newest way back, if there is one. */
export function undoLatest(): boolean {
  const latest = shown.findLast((entry) => entry.undo);
  latest?.undo?.();
  return latest !== undefined;
}

function close(entry: Shown, made: HTMLElement, timers: number[]): void {
  for (const timer of timers) clearTimeout(timer);
  made.remove();
  const place = shown.indexOf(entry);
  if (place >= 0) shown.splice(place, 1);
  if (!shown.length) byId("toasts")?.hidePopover();
}

function countDown(button: HTMLButtonElement, seconds: number, timers: number[]): void {
  const figure = element("span", "numbers");
  figure.setAttribute("aria-hidden", "true");
  button.append(figure);
  const ends = Date.now() + seconds * 1000;
  const tick = () => {
    figure.textContent = String(Math.max(0, Math.ceil((ends - Date.now()) / 1000)));
    timers.push(setTimeout(tick, 250));
  };
  tick();
}

/** A toast without a deadline of its own stays while the pointer or the focus is on it. */
function holdWhileLookedAt(made: HTMLElement, seconds: number, entry: Shown, timers: number[]): void {
  const start = () => timers.push(setTimeout(check, seconds * 1000));
  const check = () => {
    if (made.matches(":hover") && !made.querySelector(".numbers")) timers.push(setTimeout(check, 1000));
    else entry.close();
  };
  start();
}
