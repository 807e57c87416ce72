// What can be done to a conversation from its head, its row or the keyboard: shown at once, confirmed, taken back if refused.
import { call, Problem } from "./api";
import { all, byId, element, find, icon, on } from "./dom";
import { refreshRow, removeRow, restoreRow, rowOf } from "./list";
import { pick } from "./picker";
import { here, me } from "./place";
import { head, leaveUnread, openId, refreshThread } from "./thread";
import { toast } from "./toast";
import { choices, countSoon } from "./views";
import { t } from "./words";

type Status = "open" | "pending" | "snoozed" | "resolved" | "spam";

export function failed(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  toast({ text: error instanceof Problem ? error.words : t("failed"), alarm: true });
}

/** Say it to the server; then show what the server says, whether it went well or not. */
async function carryOut(id: string, path: string, body: unknown): Promise<boolean> {
  let well = true;
  try {
    await call("POST", `/conversations/${id}/${path}`, body);
  } catch (error) {
    well = false;
    failed(error);
  }
  await settle(id).catch(() => undefined); // without a connection the bar at the top says so, and all is read again after
  return well;
}

export async function settle(id: string): Promise<void> {
  countSoon();
  await Promise.all([refreshRow(id, true), openId() === id ? refreshThread() : undefined]);
}

const dataOf = (id: string): DOMStringMap => (openId() === id ? head()?.dataset : rowOf(id)?.dataset) ?? {};

export async function setStatus(id: string, status: Status, until?: Date): Promise<void> {
  const before = (dataOf(id)["status"] ?? "open") as Status;
  if (before === status && !until) return;
  const row = rowOf(id);
  const leaves = row && here().status !== status;
  if (leaves) removeRow(id, true);
  showStatus(id, status);
  const change = carryOut(id, "status", { status, until: until?.toISOString() ?? null });
  const back = { status: before === "snoozed" ? "open" : before, until: null };
  const close = offerUndo(t(`status_${status}`), change, () => carryOut(id, "status", back));
  if (await change) return;
  close();
  if (leaves) restoreRow(row);
  showStatus(id, before);
}

/** Say what was done, at once; the way back waits for the change to be made. */
function offerUndo(text: string, change: Promise<boolean>, back: () => Promise<boolean>): () => void {
  const run = async () => {
    if (await change) await back();
  };
  return toast({ text, action: { label: t("undo"), run } });
}

function showStatus(id: string, status: Status): void {
  const shown = openId() === id ? head() : null;
  if (!shown) return;
  shown.dataset["status"] = status;
  const button = find<HTMLButtonElement>(".thread-resolve", shown);
  if (!button) return;
  const closed = status === "resolved" || status === "spam";
  button.dataset["do"] = closed ? "reopen" : "resolve";
  button.replaceChildren(closed ? icon("inbox") : icon("check"), element("span", "", t(closed ? "do_reopen" : "do_resolve")));
}

export async function assign(id: string, to: string): Promise<void> {
  const before = dataOf(id)["assignee"] ?? "";
  if (before === to) return;
  const name = choices().people.find((person) => person.id === to)?.name ?? "";
  showAssignee(id, to, name);
  const change = carryOut(id, "assign", { agent_id: to });
  const words = name ? t("assigned", { name }) : t("unassigned");
  const close = offerUndo(words, change, () => carryOut(id, "assign", { agent_id: before }));
  if (!(await change)) close();
}

function showAssignee(id: string, to: string, name: string): void {
  const shown = openId() === id ? head() : null;
  if (!shown) return;
  shown.dataset["assignee"] = to;
  const button = find(".thread-assign", shown);
  button?.replaceChildren(name ? icon("user") : icon("user-plus"), element("span", "clip", name || t("assign")));
}

export async function setLabel(id: string, name: string, on_: boolean): Promise<void> {
  const facts = openId() === id ? find(".thread-facts", head() ?? document) : null;
  if (facts && on_) facts.append(element("span", "chip", element("span", "chip-text", name)));
  if (facts && !on_) all("[data-unlabel]", facts).find((button) => button.dataset["unlabel"] === name)?.parentElement?.remove();
  await carryOut(id, "labels", on_ ? { add: name } : { remove: name });
}

export async function setPriority(id: string, priority: string): Promise<void> {
  await carryOut(id, "priority", { priority });
}

export async function markUnread(id: string): Promise<void> {
  leaveUnread(id);
  rowOf(id)?.classList.add("is-unread");
  if (await carryOut(id, "unread", undefined)) toast({ text: t("marked_unread"), seconds: 3 });
}

// --- choosing ------------------------------------------------------------------------------------------------------

const anchorOf = (id: string, what: string) =>
  (openId() === id ? find(`[data-do=${what}]`, head() ?? document) : null) ?? find(".row-link", rowOf(id) ?? document);

export function chooseAssignee(id: string): void {
  const current = dataOf(id)["assignee"] ?? "";
  const { people } = choices();
  const own = people.filter((person) => person.id === me());
  const others = people.filter((person) => person.id !== me());
  pick({
    title: t("assign_to"),
    anchor: anchorOf(id, "assign"),
    choices: [
      ...own.map(({ id: key, name }) => ({ id: key, label: name, hint: t("me"), icon: "user-check", checked: key === current })),
      ...others.map(({ id: key, name }) => ({ id: key, label: name, icon: "user", checked: key === current })),
      { id: "", label: t("nobody"), icon: "user-off", checked: current === "" },
    ],
    onPick: (choice) => void assign(id, choice.id),
  });
}

export function chooseLabel(id: string): void {
  const current = labelsOf(id);
  pick({
    title: t("label"),
    placeholder: t("label_find"),
    anchor: anchorOf(id, "label"),
    choices: choices().labels.map((name) => ({ id: name, label: name, icon: "tag", checked: current.includes(name) })),
    make: (text) => ({ id: text, label: t("label_new", { name: text }), icon: "plus" }),
    onPick: (choice) => void setLabel(id, choice.id, !current.includes(choice.id)),
  });
}

function labelsOf(id: string): string[] {
  const text = openId() === id ? head()?.dataset["labels"] : undefined;
  if (text) return JSON.parse(text) as string[];
  return all(".row-label", rowOf(id) ?? document.createElement("i")).map((label) => label.textContent?.trim() ?? "");
}

export function chooseSnooze(id: string): void {
  const times = snoozeTimes(new Date());
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  pick({
    title: t("snooze"),
    anchor: anchorOf(id, "snooze"),
    choices: [
      ...times.map(([key, at]) => ({ id: key, label: t(key), hint: format.format(at), icon: "clock" })),
      { id: "choose", label: t("choose_time"), icon: "calendar" },
    ],
    onPick: (choice) => {
      const at = times.find(([key]) => key === choice.id)?.[1];
      if (at) void setStatus(id, "snoozed", at);
      else askUntil(id);
    },
  });
}

export function snoozeTimes(now: Date): [string, Date][] {
  const at = (days: number, hour: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hour);
  const later = new Date(now.getTime() + 3 * 3_600_000);
  later.setMinutes(0, 0, 0);
  const monday = (8 - now.getDay()) % 7 || 7;
  const times: [string, Date][] = [
    ["tomorrow", at(1, 9)],
    ["next_week", at(monday, 9)],
    ["in_a_month", at(30, 9)],
  ];
  return later.getDate() === now.getDate() ? [["later_today", later], ...times] : times;
}

function askUntil(id: string): void {
  const dialog = byId<HTMLDialogElement>("until-dialog");
  const input = byId<HTMLInputElement>("until-at");
  if (!dialog || !input) return;
  const soon = new Date(Date.now() + 86_400_000 - new Date().getTimezoneOffset() * 60_000).toISOString();
  input.value = `${soon.slice(0, 10)}T09:00`;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "ok" && input.value) void setStatus(id, "snoozed", new Date(input.value));
  }, { once: true });
  dialog.showModal();
}

export function chooseMore(id: string): void {
  const data = dataOf(id);
  const priorities = [
    { key: "urgent", icon: "chevrons-up" },
    { key: "high", icon: "chevron-up" },
    { key: "normal", icon: "minus" },
    { key: "low", icon: "chevron-down" },
  ].map(({ key, icon }) => ({ id: `priority:${key}`, label: t(`priority_${key}`), icon, checked: data["priority"] === key }));
  const status = data["status"];
  pick({
    title: t("conversation"),
    anchor: anchorOf(id, "more"),
    choices: [
      ...(status === "pending" ? [] : [{ id: "pending", label: t("do_pending"), icon: "hourglass" }]),
      ...(status === "spam" ? [] : [{ id: "spam", label: t("do_spam"), icon: "alert-octagon" }]),
      ...(status === "open" ? [] : [{ id: "open", label: t("do_reopen"), icon: "inbox" }]),
      { id: "unread", label: t("do_unread"), icon: "mail", key: "u" },
      ...(data["failed"] === "yes" ? [{ id: "dismiss", label: t("dismiss_failure"), icon: "circle-check" }] : []),
      ...priorities,
    ],
    onPick: (choice) => carryOutChoice(id, choice.id),
  });
}

export function carryOutChoice(id: string, choice: string): void {
  if (choice === "unread") void markUnread(id);
  else if (choice === "dismiss") void carryOut(id, "dismiss-failure", undefined);
  else if (choice.startsWith("priority:")) void setPriority(id, choice.slice("priority:".length));
  else void setStatus(id, choice as Status);
}

// --- buttons ---------------------------------------------------------------------------------------------------------

on("click", "#thread-head [data-do]", (button) => {
  const id = openId();
  const what = button.dataset["do"];
  if (what === "assign") chooseAssignee(id);
  else if (what === "label") chooseLabel(id);
  else if (what === "snooze") chooseSnooze(id);
  else if (what === "more") chooseMore(id);
  else if (what === "resolve") void setStatus(id, "resolved");
  else if (what === "reopen") void setStatus(id, "open");
});

on("click", "[data-unlabel]", (button) => void setLabel(openId(), button.dataset["unlabel"] ?? "", false));

on("click", "[data-row-do]", (button, event) => {
  const id = button.closest<HTMLElement>(".row")?.dataset["id"];
  if (!id) return;
  event.preventDefault();
  const what = button.dataset["rowDo"];
  if (what === "take") void assign(id, me());
  else void setStatus(id, what === "resolve" ? "resolved" : "open");
});
