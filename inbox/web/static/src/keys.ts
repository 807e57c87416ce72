// One keyboard for everything. Letters are found by their place on the keyboard where the layout is not Latin.
import { assign, chooseAssignee, chooseLabel, chooseSnooze, markUnread, setStatus } from "./actions";
import { write } from "./composer";
import { byId, find, isTyping, on } from "./dom";
import { backToList, open } from "./inbox";
import { focusedRow, step } from "./list";
import { showPalette } from "./palette";
import { here, me } from "./place";
import { openId } from "./thread";
import { undoLatest } from "./toast";

/** The conversation a key is about: the row the keyboard is on, else the one that is open. */
const subject = () => focusedRow()?.dataset["id"] ?? openId();

const actions: Record<string, (id: string) => void> = {
  a: chooseAssignee,
  l: chooseLabel,
  s: chooseSnooze,
  e: (id) => void setStatus(id, "resolved"),
  u: (id) => void markUnread(id),
  i: (id) => void assign(id, me()),
};

function letter(event: KeyboardEvent): string {
  const isLatin = /^[\x20-\x7e]$/.test(event.key);
  if (isLatin || !event.code.startsWith("Key")) return event.key;
  return event.code.slice(3).toLowerCase();
}

export function showShortcuts(): void {
  byId<HTMLDialogElement>("shortcuts")?.showModal();
}

function writeAbout(mode: string): void {
  const id = subject();
  if (!id) return;
  if (id === openId()) write(mode);
  else {
    open(id);
    document.addEventListener("thread:shown", () => openId() === id && setTimeout(write, 0, mode), { once: true });
  }
}

document.addEventListener("keydown", (event) => {
  const key = letter(event);
  if ((event.ctrlKey || event.metaKey) && !event.altKey && key.toLowerCase() === "k") {
    event.preventDefault();
    if (!find("dialog[open]")) showPalette();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (find("dialog[open], .menu:popover-open")) return;
  if (event.key === "Escape") {
    escape();
    return;
  }
  if (isTyping(event.target)) return;
  if (press(key, event)) event.preventDefault();
});

function press(key: string, event: KeyboardEvent): boolean {
  if (key === "?") showShortcuts();
  else if (key === "z") return undoLatest();
  else if (!byId("panes")) return false;
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "ArrowDown" || key === "ArrowUp") {
    if (!focusedRow()) return false;
    step(key === "ArrowDown" ? 1 : -1);
  } else if (key === "r" || key === "n") writeAbout(key === "r" ? "reply" : "note");
  else {
    const action = actions[key];
    const id = subject();
    if (!action || !id || event.repeat) return false;
    action(id);
  }
  return true;
}

function escape(): void {
  if (document.body.matches(".views-drawn, .customer-drawn")) {
    document.body.classList.remove("views-drawn", "customer-drawn");
  } else if (isTyping(document.activeElement)) {
    (document.activeElement as HTMLElement).blur();
  } else if (byId("panes") && here().conversation) {
    backToList();
  }
}

on("click", "[data-do=shortcuts]", showShortcuts);
