// The customer beside the conversation: edited in place, saved when the field is left.
import { call, fragment } from "./api";
import { all, byId, find, on, wait } from "./dom";
import { failed } from "./actions";
import { morphInside } from "./morph";
import { openId } from "./thread";
import { t } from "./words";

type Field = HTMLInputElement | HTMLTextAreaElement;

on("focusout", ".edit-input", (field) => void save(field as Field));
on("keydown", ".edit-input", (field, event) => {
  if (event.key === "Escape") {
    (field as Field).value = field.dataset["was"] ?? "";
    field.blur();
    event.stopPropagation();
  } else if (event.key === "Enter" && (field instanceof HTMLInputElement || event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    field.blur();
  }
});
on("input", "textarea.edit-input", (field) => grow(field as HTMLTextAreaElement));

function grow(field: HTMLTextAreaElement): void {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

async function save(field: Field): Promise<void> {
  const box = field.closest<HTMLElement>(".edit");
  const was = field.dataset["was"] ?? "";
  if (!box || field.value.trim() === was) return;
  const state = find(".edit-state", box);
  if (state) state.textContent = t("saving");
  try {
    const saved = await call<Record<string, string>>("PATCH", `/customers/${box.dataset["customer"] ?? ""}`, {
      [field.name]: field.value,
    });
    field.dataset["was"] = saved[field.name] ?? field.value;
    if (state) state.textContent = t("saved");
    await wait(2_000);
    if (state?.textContent === t("saved")) state.textContent = "";
  } catch (error) {
    if (state) state.textContent = "";
    field.focus(); // what was typed stays
    failed(error);
  }
}

/** Whether a field is being saved, or says that it was. */
const isSaving = (pane: HTMLElement) => all(".edit-state", pane).some((state) => state.textContent !== "");

/** Read the customer again, unless somebody is typing there; what was fetched before a field was saved is too old. */
export async function refreshCustomer(): Promise<void> {
  const pane = byId("customer");
  const id = openId();
  if (!pane || !id) return;
  let html: string | null = null;
  do {
    while (isSaving(pane)) await wait(500);
    if (openId() !== id || pane.contains(document.activeElement)) return;
    html = await fragment(`/conversations/${id}/customer`);
  } while (isSaving(pane));
  if (html !== null && openId() === id && !pane.contains(document.activeElement)) await morphInside(pane, html);
  initCustomer();
}

export function initCustomer(): void {
  const note = byId<HTMLTextAreaElement>("customer-note");
  if (note) grow(note);
}

document.addEventListener("thread:shown", initCustomer);

on("click", "[data-do=customer]", () => {
  const narrow = innerWidth < 1200;
  document.body.classList.toggle(narrow ? "customer-drawn" : "customer-folded");
  if (!narrow) localStorage.setItem("customer", document.body.classList.contains("customer-folded") ? "folded" : "");
  if (document.body.classList.contains("customer-drawn")) find("#customer button")?.focus();
});
if (localStorage.getItem("customer") === "folded") document.body.classList.add("customer-folded");
