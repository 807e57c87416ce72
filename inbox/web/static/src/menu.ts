// Menus that drop from a button ([data-menu] names the popover), and what is small enough to live beside them.
import { all, byId, find, on } from "./dom";
import { currentTheme, setTheme, type Theme } from "./theme";
import { toast } from "./toast";
import { t } from "./words";

/** Put a popover below its button, above it where there is no room, inside the window always. */
export function place(popover: HTMLElement, anchor: HTMLElement): void {
  const from = anchor.getBoundingClientRect();
  const own = popover.getBoundingClientRect();
  const gap = 4;
  const below = from.bottom + gap + own.height <= innerHeight - 8;
  const top = below ? from.bottom + gap : Math.max(8, from.top - own.height - gap);
  const right = from.left + own.width > innerWidth - 8;
  const left = right ? Math.max(8, from.right - own.width) : from.left;
  popover.style.top = `${Math.min(top, Math.max(8, innerHeight - own.height - 8))}px`;
  popover.style.left = `${Math.min(left, Math.max(8, innerWidth - own.width - 8))}px`;
}

function items(menu: HTMLElement): HTMLElement[] {
  return all(".menu-item", menu).filter((item) => !item.hidden);
}

on("click", "[data-menu]", (button, event) => {
  const menu = byId(button.dataset["menu"] ?? "");
  if (!menu) return;
  event.preventDefault();
  if (menu.matches(":popover-open")) {
    menu.hidePopover();
    return;
  }
  menu.showPopover();
  place(menu, button);
  button.setAttribute("aria-expanded", "true");
  menu.addEventListener("toggle", () => button.setAttribute("aria-expanded", "false"), { once: true });
  if (button.matches(":focus-visible")) items(menu)[0]?.focus();
  if (menu.id === "me-menu") markTheme();
});

on("click", ".menu .menu-item", (item) => {
  item.closest<HTMLElement>("[popover]")?.hidePopover();
});

on("keydown", ".menu[role=menu]", (menu, event) => {
  const entries = items(menu);
  const at = entries.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  entries.at(to % entries.length)?.focus();
});

// A menu that was opened and has nothing focused yet takes the arrow keys too.
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || event.defaultPrevented) return;
  const menu = find(".menu[role=menu]:popover-open");
  if (menu && !menu.contains(document.activeElement)) {
    event.preventDefault();
    items(menu)[0]?.focus();
  }
});

function markTheme(): void {
  for (const choice of all("[data-theme-choice]")) {
    choice.setAttribute("aria-checked", String(choice.dataset["themeChoice"] === currentTheme()));
  }
}

on("click", "[data-theme-choice]", (choice) => setTheme((choice.dataset["themeChoice"] ?? "auto") as Theme));

on("click", "[data-copy]", (button) => {
  const text = button.dataset["copy"] ?? "";
  void copy("copyLink" in button.dataset ? new URL(text, location.href).href : text);
});

export async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  toast({ text: t("copied"), seconds: 2 });
}

on("click", "[data-do=close-dialog]", (button) => button.closest("dialog")?.close());
