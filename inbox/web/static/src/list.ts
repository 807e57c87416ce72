// The list: rows that come, change and go by themselves, endless scrolling, and one row that the keyboard is on.
import { fragment } from "./api";
import { all, byId, find, on, parse, wait } from "./dom";
import { morph } from "./morph";
import { here, type Place, query } from "./place";
import { counted } from "./words";

/** A pointer that moved over the list this recently is about to click: nothing moves under it. */
const BUSY = 800;
const NEAR_TOP = 4;

let loading: AbortController | null = null;
let pointerAt = 0;
let watcher: IntersectionObserver | null = null;
let releaseTimer = 0;
const held = new Map<string, HTMLElement>();
const fetching = new Map<string, Promise<void>>();

const rowsBox = () => byId("rows");
const scroller = () => byId("list-scroll");
export const rows = () => all<HTMLLIElement>("#rows > .row");
export const rowOf = (id: string) => byId<HTMLLIElement>(`row-${id}`);
const linkOf = (row: Element | null | undefined) => row?.querySelector<HTMLAnchorElement>(".row-link") ?? null;

export async function loadList(place: Place): Promise<void> {
  loading?.abort();
  const own = (loading = new AbortController());
  const pane = byId("list");
  if (!pane) return;
  const slow = setTimeout(() => showSkeleton(), 200);
  try {
    const html = await fragment(`${place.list}/list${query(place)}`, own.signal);
    if (own.signal.aborted || html === null) return;
    pane.replaceChildren(parse(html));
    initList();
  } catch (error) {
    const template = byId<HTMLTemplateElement>("not-loaded");
    if (!own.signal.aborted && template) scroller()?.replaceChildren(template.content.cloneNode(true));
    throw error;
  } finally {
    clearTimeout(slow);
  }
}

export function initList(): void {
  held.clear();
  showNews();
  markCurrent();
  watchEnd();
  showTimes();
  showEmptiness();
  scroller()?.addEventListener("pointermove", () => (pointerAt = Date.now()));
  scroller()?.addEventListener("scroll", release, { passive: true });
}

function showSkeleton(): void {
  const box = rowsBox();
  if (!box) return;
  box.replaceChildren(parse('<li class="row-skeleton" aria-hidden="true"><span class="skeleton"></span></li>'.repeat(8)));
}

/** The row of the open conversation is marked; the keyboard stands on it, or on the first. */
export function markCurrent(): void {
  const open = here().conversation;
  for (const row of rows()) {
    const link = linkOf(row);
    if (row.dataset["id"] === open) link?.setAttribute("aria-current", "true");
    else link?.removeAttribute("aria-current");
  }
  const focused = rows().find((row) => row.contains(document.activeElement));
  stand(focused ?? rowOf(open) ?? rows().find((row) => linkOf(row)?.tabIndex === 0) ?? rows()[0], false);
}

function stand(row: HTMLElement | undefined, focus: boolean): void {
  if (!row) return;
  for (const other of all<HTMLAnchorElement>('#rows .row-link[tabindex="0"]')) other.tabIndex = -1;
  const link = linkOf(row);
  if (!link) return;
  link.tabIndex = 0;
  if (focus) link.focus();
}

export function focusList(): void {
  const row = rowOf(here().conversation) ?? rows().find((each) => linkOf(each)?.tabIndex === 0) ?? rows()[0];
  stand(row, true);
}

/** Move the keyboard's row; the first step goes to the row that is marked, if the focus is elsewhere. */
export function step(by: 1 | -1): void {
  const list = rows();
  const at = list.findIndex((row) => row.contains(document.activeElement));
  const open = list.findIndex((row) => row.dataset["id"] === here().conversation);
  const from = at >= 0 ? at : open >= 0 ? open : by > 0 ? -1 : list.length;
  const row = list[Math.min(Math.max(from + by, 0), list.length - 1)];
  stand(row, true);
  row?.scrollIntoView({ block: "nearest" });
}

/** The row the keyboard is on, if the focus is in the list. */
export function focusedRow(): HTMLElement | null {
  return document.activeElement?.closest<HTMLElement>("#rows > .row") ?? null;
}

on("focusin", "#rows > .row", (row) => stand(row, false));

// --- the end of the list -----------------------------------------------------------------------------------------

function watchEnd(): void {
  watcher?.disconnect();
  const end = byId("row-next");
  if (!end) return;
  watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && void loadMore(end), {
    root: scroller(),
    rootMargin: "600px",
  });
  watcher.observe(end);
}

async function loadMore(end: HTMLElement): Promise<void> {
  watcher?.disconnect();
  const place = here();
  const cursor = encodeURIComponent(end.dataset["next"] ?? "");
  try {
    const html = await fragment(`${place.list}/rows${query(place)}${query(place) ? "&" : "?"}cursor=${cursor}`);
    if (!end.isConnected || html === null) return;
    const more = parse(html);
    for (const row of all(".row", more)) if (rowOf(row.dataset["id"] ?? "")) row.remove();
    end.replaceWith(more);
    showTimes();
  } catch {
    await wait(3_000); // the bar at the top says what is wrong; go on when it is well again
  }
  watchEnd();
}

// --- what changes by itself --------------------------------------------------------------------------------------

/** Read a row again and put it where it belongs. `own`: this person did it, so it may move at once. */
export function refreshRow(id: string, own = false): Promise<void> {
  const running = fetching.get(id);
  if (running) return running.then(() => refreshRow(id, own));
  const task = readRow(id, own).finally(() => fetching.delete(id));
  fetching.set(id, task);
  return task;
}

async function readRow(id: string, own: boolean): Promise<void> {
  const place = here();
  const html = await fragment(`${place.list}/rows/${encodeURIComponent(id)}${query(place)}`);
  const now = here();
  if (now.list !== place.list || now.status !== place.status) return;
  if (html === null) {
    held.delete(id);
    showNews();
    removeRow(id, own);
    return;
  }
  const fresh = find<HTMLElement>(".row", parse(html));
  if (fresh) putRow(fresh, own);
}

function putRow(fresh: HTMLElement, own: boolean): void {
  const id = fresh.dataset["id"] ?? "";
  const shown = rowOf(id);
  if (shown && shown.dataset["at"] === fresh.dataset["at"]) {
    updateRow(shown, fresh);
  } else if (!isInRange(fresh)) {
    if (shown) removeRow(id, own);
  } else if (own || !isBusy()) {
    insert(fresh);
  } else {
    held.set(id, fresh);
    if (shown) updateRow(shown, fresh, shown.dataset["at"]);
    showNews();
    release();
  }
}

function updateRow(shown: HTMLElement, fresh: HTMLElement, keepAt?: string): void {
  const copy = fresh.cloneNode(true) as HTMLElement;
  if (keepAt) copy.dataset["at"] = keepAt;
  const link = linkOf(shown);
  const freshLink = linkOf(copy);
  if (link?.hasAttribute("aria-current")) freshLink?.setAttribute("aria-current", "true");
  if (freshLink && link) freshLink.tabIndex = link.tabIndex;
  void morph(shown, copy.outerHTML).then(() => showTimes());
}

function isBusy(): boolean {
  const list = scroller();
  return (list?.scrollTop ?? 0) > NEAR_TOP || Date.now() - pointerAt < BUSY;
}

/** Whether a row belongs before the end of what is loaded. */
function isInRange(row: HTMLElement): boolean {
  if (!byId("row-next")) return true;
  const last = rows().at(-1);
  return !last || isBefore(row, last);
}

function isBefore(row: HTMLElement, other: HTMLElement): boolean {
  const [a, b] = [row.dataset["at"] ?? "", other.dataset["at"] ?? ""];
  const [at, otherAt] = [Date.parse(a), Date.parse(b)];
  return at === otherAt ? (row.dataset["id"] ?? "") > (other.dataset["id"] ?? "") : at > otherAt;
}

function insert(fresh: HTMLElement): void {
  const id = fresh.dataset["id"] ?? "";
  const shown = rowOf(id);
  const hadFocus = shown?.contains(document.activeElement) ?? false;
  const next = rows().find((row) => row !== shown && isBefore(fresh, row));
  if (shown) {
    updateRow(shown, fresh);
    shown.dataset["at"] = fresh.dataset["at"] ?? "";
    if (shown.nextElementSibling !== (next ?? byId("row-next"))) {
      rowsBox()?.insertBefore(shown, next ?? byId("row-next"));
      if (hadFocus) linkOf(shown)?.focus({ preventScroll: true });
    }
  } else {
    fresh.classList.add("is-new");
    rowsBox()?.insertBefore(fresh, next ?? byId("row-next"));
    setTimeout(() => fresh.classList.remove("is-new"), 1_500);
  }
  showTimes();
  showEmptiness();
  markCurrent();
}

/**
 * Take a row out. `own`: this person did it, so it goes at once; else, under a pointer that is moving, it only fades, so
 * that nothing slips. The keyboard goes on to the next row only after an own deed in the list: keys act on the row they
 * stand on, and that must never become another one by itself.
 */
export function removeRow(id: string, own: boolean, now = own): void {
  const row = rowOf(id);
  if (!row) return;
  if (!now && isBusy()) {
    row.classList.add("is-gone");
    release();
    return;
  }
  const neighbour = (row.nextElementSibling ?? row.previousElementSibling) as HTMLElement | null;
  const hadFocus = row.contains(document.activeElement);
  const stood = linkOf(row)?.tabIndex === 0;
  const isOpen = id === here().conversation;
  row.remove();
  if (stood && neighbour?.matches(".row")) stand(neighbour, hadFocus && own && !isOpen);
  if (hadFocus && (isOpen || !own)) (isOpen ? byId("thread-scroll") : scroller())?.focus({ preventScroll: true });
  showEmptiness();
}

/** Put a row back that was taken out too early. */
export function restoreRow(row: HTMLElement): void {
  if (rowOf(row.dataset["id"] ?? "")) return;
  const next = rows().find((other) => isBefore(row, other));
  rowsBox()?.insertBefore(row, next ?? byId("row-next"));
  showEmptiness();
}

function showEmptiness(): void {
  const empty = byId("list-empty");
  if (empty) empty.hidden = rows().length > 0 || held.size > 0;
}

/** Once nobody is in the midst of it, what was held back takes its place. */
function release(): void {
  clearTimeout(releaseTimer);
  if (!held.size && !find("#rows > .is-gone")) return;
  if (isBusy()) {
    releaseTimer = setTimeout(release, BUSY);
    return;
  }
  for (const row of all("#rows > .is-gone")) removeRow(row.dataset["id"] ?? "", false, true);
  const waiting = [...held.values()];
  held.clear();
  for (const row of waiting) insert(row);
  showNews();
}

function showNews(): void {
  const bar = byId("news");
  if (!bar) return;
  const list = scroller();
  const count = (list?.scrollTop ?? 0) > NEAR_TOP ? held.size : 0;
  bar.hidden = count === 0;
  const words = find("span", bar);
  if (words && count) words.textContent = counted("news", count);
}

on("click", "[data-do=show-news]", () => {
  pointerAt = 0;
  scroller()?.scrollTo({ top: 0 });
  release();
});

/** The first page again, without moving what is read: after a lost connection anything may have happened. */
export async function resyncList(): Promise<void> {
  const place = here();
  const html = await fragment(`${place.list}/rows${query(place)}`);
  const now = here();
  if (html === null || now.list !== place.list || now.status !== place.status) return;
  const fresh = parse(html);
  const freshRows = all<HTMLElement>(".row", fresh);
  const last = freshRows.at(-1);
  const isWhole = !find("#row-next", fresh);
  const known = new Set(freshRows.map((row) => row.dataset["id"]));
  for (const row of rows()) {
    const covered = isWhole || (last !== undefined && isBefore(row, last));
    if (covered && !known.has(row.dataset["id"])) removeRow(row.dataset["id"] ?? "", false);
  }
  for (const row of freshRows) putRow(row, false);
}

// --- times ---------------------------------------------------------------------------------------------------------

const UNITS: [Intl.NumberFormatOptions["unit"] & string, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 min" becomes "4 min" while the page is open. */
export function showTimes(): void {
  const language = document.documentElement.lang;
  for (const time of all<HTMLTimeElement>(".row-time")) {
    const age = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const [unit, length] = UNITS.find(([, seconds]) => age >= seconds) ?? [];
    if (!unit || !length || age >= 7 * 86_400) continue;
    const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" });
    time.textContent = format.format(Math.round(age / length));
  }
}

setInterval(showTimes, 60_000);

on("pointerover", "time.row-time, time.clock", (time) => {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "full", timeStyle: "short" });
  time.title = format.format(Date.parse((time as HTMLTimeElement).dateTime));
});
