// A list to choose from with a filter above it: below a button (assign, label, snooze) or as the command palette.
import { byId, element, icon } from "./dom";
import { place } from "./menu";
import { t } from "./words";

export interface Choice {
  id: string;
  label: string;
  icon?: string;
  hint?: string;
  key?: string;
  group?: string;
  checked?: boolean;
}

interface Picker {
  title: string;
  choices: Choice[];
  /** Where it drops from; without it the picker is a dialog in the middle. */
  anchor?: HTMLElement | null;
  placeholder?: string;
  /** Makes a choice of what was typed and is not in the list. */
  make?: (text: string) => Choice | null;
  onPick: (choice: Choice) => void;
}

let count = 0;

export function pick(options: Picker): void {
  const id = `picker-${++count}`;
  const before = document.activeElement as HTMLElement | null;
  const input = element("input", "menu-filter");
  const list = element("div", "picker-list");
  const box: HTMLElement = options.anchor ? element("div", "menu picker") : element("dialog", "dialog palette");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.placeholder = options.placeholder ?? options.title;
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-label", options.title);
  input.setAttribute("aria-expanded", "true");
  input.setAttribute("aria-controls", id);
  input.setAttribute("aria-autocomplete", "list");
  list.id = id;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", options.title);
  box.append(input, list);
  (byId("room") ?? document.body).append(box);

  let shown: Choice[] = [];
  let active = 0;

  const mark = (to: number) => {
    active = shown.length ? (to + shown.length) % shown.length : 0;
    [...list.querySelectorAll(".menu-item")].forEach((item, at) => {
      item.setAttribute("aria-selected", String(at === active));
      if (at === active) item.scrollIntoView({ block: "nearest" });
    });
    if (shown.length) input.setAttribute("aria-activedescendant", `${id}-${active}`);
    else input.removeAttribute("aria-activedescendant");
  };

  const draw = () => {
    const text = input.value.trim();
    shown = options.choices.filter((choice) => fits(choice, text));
    const exact = options.choices.some((choice) => choice.label.toLowerCase() === text.toLowerCase());
    const made = text && !exact ? options.make?.(text) : null;
    if (made) shown.push(made);
    let group = "";
    list.replaceChildren();
    shown.forEach((choice, at) => {
      if (choice.group && choice.group !== group && !text) {
        const title = element("div", "menu-title", choice.group);
        title.setAttribute("role", "presentation");
        list.append(title);
      }
      group = choice.group ?? "";
      list.append(item(choice, `${id}-${at}`, () => choose(choice), () => mark(at)));
    });
    if (!shown.length) list.append(element("p", "picker-none", t("nothing_found")));
    mark(0);
    if (options.anchor) place(box, options.anchor);
  };

  const close = () => {
    box.remove();
    options.anchor?.setAttribute("aria-expanded", "false");
    if (document.activeElement === document.body) before?.focus({ preventScroll: true });
  };

  const choose = (choice: Choice) => {
    close();
    before?.focus({ preventScroll: true });
    options.onPick(choice);
  };

  input.addEventListener("input", draw);
  box.addEventListener("keydown", (event: KeyboardEvent) => {
    const to = { ArrowDown: active + 1, ArrowUp: active - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      mark(to);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      const choice = shown[active];
      if (choice) choose(choice);
    } else if (event.key === "Tab") {
      event.preventDefault();
    }
    event.stopPropagation();
  });

  if (box instanceof HTMLDialogElement) {
    box.setAttribute("aria-label", options.title);
    box.addEventListener("close", close);
    box.addEventListener("click", (event) => event.target === box && close());
    box.showModal();
  } else {
    box.popover = "auto";
    box.addEventListener("toggle", (event) => (event as ToggleEvent).newState === "closed" && close());
    box.showPopover();
    options.anchor?.setAttribute("aria-expanded", "true");
  }
  draw();
  input.focus();
}

function fits(choice: Choice, text: string): boolean {
  const words = `${choice.label} ${choice.hint ?? ""} ${choice.group ?? ""}`.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((part) => words.includes(part));
}

function item(choice: Choice, id: string, choose: () => void, mark: () => void): HTMLElement {
  const made = element("div", "menu-item");
  made.id = id;
  made.setAttribute("role", "option");
  if (choice.checked !== undefined) made.setAttribute("aria-checked", String(choice.checked));
  if (choice.icon) made.append(icon(choice.icon));
  made.append(element("span", "grow clip", choice.label));
  if (choice.hint) made.append(element("span", "muted small", choice.hint));
  for (const key of choice.key?.split(" ") ?? []) made.append(element("kbd", "", key));
  made.addEventListener("pointermove", mark);
  made.addEventListener("pointerdown", (event) => event.preventDefault());
  made.addEventListener("click", choose);
  return made;
}
