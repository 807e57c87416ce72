// The open conversation: its entries as they come and change, without moving what is being read.
import { call, fragment, inBackground } from "./api";
import { all, byId, find, on, parse } from "./dom";
import { morph } from "./morph";
import { here, me } from "./place";
import { rowOf } from "./list";
import { counted } from "./words";

const NEAR_END = 80;
let loading: AbortController | null = null;
let tailing: Promise<void> | null = null;
let again = false;
let unseen = 0;
let leftUnread = "";
const asServed = new Map<string, string>();

const scroller = () => byId("thread-scroll");
/** The conversation that is shown; none while another is on its way. */
export function openId(): string {
  const id = byId("thread")?.dataset["id"] ?? "";
  return id === here().conversation ? id : "";
}

export const head = () => byId("thread-head");

/** Show a conversation. Where it cannot be had the pane says so, and the promise is rejected. */
export async function loadThread(id: string): Promise<void> {
  loading?.abort();
  const own = (loading = new AbortController());
  const pane = byId("open");
  if (!pane) return;
  const slow = setTimeout(() => pane.replaceChildren(skeleton()), 200);
  try {
    const html = await fragment(`/conversations/${encodeURIComponent(id)}/pane`, own.signal);
    if (own.signal.aborted || html === null) return;
    clearTimeout(slow);
    pane.replaceChildren(parse(html));
    initThread();
  } catch (error) {
    if (!own.signal.aborted) showFailure(pane);
    throw error;
  } finally {
    clearTimeout(slow);
  }
}

export async function closeThread(): Promise<void> {
  loading?.abort();
  const own = (loading = new AbortController());
  const html = await fragment("/inbox/first-steps", own.signal);
  if (html === null || own.signal.aborted) return;
  byId("open")?.replaceChildren(parse(html));
  document.dispatchEvent(new CustomEvent("thread:gone"));
}

function showFailure(pane: HTMLElement): void {
  const template = byId<HTMLTemplateElement>("not-loaded");
  if (template) pane.replaceChildren(template.content.cloneNode(true));
  document.dispatchEvent(new CustomEvent("thread:gone"));
}

export async function refreshFirstSteps(): Promise<void> {
  const box = find("[data-first-steps]");
  const html = box ? await fragment("/inbox/first-steps") : null;
  if (box?.isConnected && html !== null) box.replaceWith(parse(html));
}

function skeleton(): DocumentFragment {
  const lines = '<div class="thread-skeleton"><span class="skeleton"></span><span class="skeleton"></span><span class="skeleton"></span></div>';
  return parse(lines.repeat(3));
}

export function initThread(): void {
  leftUnread = "";
  if (!byId("thread")) return;
  scroller()?.addEventListener("scroll", () => isAtEnd() && showUnseen(0), { passive: true });
  takeEntries();
  markRead();
  document.dispatchEvent(new CustomEvent("thread:shown"));
}

function takeEntries(): void {
  asServed.clear();
  unseen = 0;
  for (const entry of all("#entries > li")) asServed.set(entry.id, entry.outerHTML);
  for (const whole of all(".whole[data-open]")) toggleWhole(whole, true);
  showNewest();
}

/** The newest message from its first line on, or the very end where all of it fits. */
function showNewest(): void {
  const list = scroller();
  const last = all<HTMLElement>("#entries > .entry").at(-1);
  if (!list || !last) return;
  list.scrollTop = last.offsetHeight > list.clientHeight ? last.offsetTop - 8 : list.scrollHeight;
}

/** Somebody has seen it, if the page is really in front. */
export function markRead(): void {
  const data = head()?.dataset;
  const id = openId();
  if (!data || data["unread"] !== "yes" || document.hidden || !id || id === leftUnread) return;
  data["unread"] = "no";
  rowOf(id)?.classList.remove("is-unread");
  void call("POST", `/conversations/${id}/read`).catch(() => (data["unread"] = "yes"));
}

/** The person wants to come back to it: seeing it on does not make it read. */
export function leaveUnread(id: string): void {
  leftUnread = id;
}

document.addEventListener("visibilitychange", markRead);

// --- what changes by itself --------------------------------------------------------------------------------------

/** Bring head and messages up to date; calls during one that runs become one more. */
export function refreshThread(): Promise<void> {
  if (tailing) {
    again = true;
    return tailing;
  }
  tailing = readTail().finally(() => {
    tailing = null;
    if (again) {
      again = false;
      inBackground(refreshThread());
    }
  });
  return tailing;
}

async function readTail(): Promise<void> {
  const id = openId();
  if (!id) return;
  const html = await fragment(`/conversations/${id}/tail`);
  if (html === null || openId() !== id) return;
  const fresh = parse(html);
  const freshHead = byIdIn(fresh, "thread-head");
  const shownHead = head();
  if (freshHead && shownHead && freshHead.outerHTML !== shownHead.outerHTML) await morph(shownHead, freshHead.outerHTML);
  const entries = byIdIn(fresh, "entries");
  if (entries) await merge([...entries.children] as HTMLElement[]);
  markRead();
}

const byIdIn = (root: DocumentFragment, id: string) => root.querySelector<HTMLElement>(`#${CSS.escape(id)}`);

async function merge(fresh: HTMLElement[]): Promise<void> {
  const box = byId("entries");
  const list = scroller();
  if (!box || !list) return;
  const stay = isAtEnd();
  const shown = all<HTMLElement>("#entries > .entry");
  const isKnown = fresh.some((entry) => entry.matches(".entry") && byId(entry.id));
  if (shown.length && fresh.length && !isKnown) {
    box.replaceChildren(...fresh); // more has come than a tail holds
    takeEntries();
    return;
  }
  const firstAt = Date.parse(fresh[0]?.dataset["at"] ?? "");
  const ids = new Set(fresh.map((entry) => entry.id));
  for (const entry of shown) {
    if (!ids.has(entry.id) && Date.parse(entry.dataset["at"] ?? "") >= firstAt) forget(entry);
  }
  let news = 0;
  let own = false;
  for (const entry of fresh) {
    const before = byId(entry.id);
    if (!before) {
      const next = all<HTMLElement>("#entries > li").find((other) => Date.parse(other.dataset["at"] ?? "") > Date.parse(entry.dataset["at"] ?? ""));
      asServed.set(entry.id, entry.outerHTML);
      box.insertBefore(entry, next ?? null);
      if (entry.matches(".entry-in, .entry-note, .entry-out")) news += 1;
      if (entry.matches(".entry-in")) leftUnread = "";
      if (entry.dataset["author"] === me()) own = true;
      for (const whole of all(".whole[data-open]", entry)) toggleWhole(whole, true);
    } else if (!before.matches(".day") && asServed.get(entry.id) !== entry.outerHTML) {
      asServed.set(entry.id, entry.outerHTML);
      await morph(before, entry.outerHTML);
    }
  }
  if (stay || own) list.scrollTop = list.scrollHeight;
  else if (news) showUnseen(unseen + news);
}

function forget(entry: HTMLElement): void {
  const day = entry.previousElementSibling;
  const next = entry.nextElementSibling;
  asServed.delete(entry.id);
  entry.remove();
  if (day?.matches(".day") && (!next || next.matches(".day"))) day.remove();
}

export function isAtEnd(): boolean {
  const list = scroller();
  return !list || list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
}

export function toEnd(): void {
  const list = scroller();
  if (list) list.scrollTop = list.scrollHeight;
  showUnseen(0);
}

function showUnseen(count: number): void {
  unseen = count;
  const button = byId("thread-news");
  if (!button) return;
  button.hidden = count === 0;
  const words = find("span", button);
  if (words && count) words.textContent = counted("news", count);
}

on("click", "[data-do=to-end]", toEnd);

// --- earlier messages --------------------------------------------------------------------------------------------

on("click", "[data-do=earlier]", (button) => {
  const marker = button.closest<HTMLElement>("#earlier");
  const list = scroller();
  if (!marker || !list) return;
  button.classList.add("is-busy");
  void fragment(`/conversations/${openId()}/earlier?before=${encodeURIComponent(marker.dataset["before"] ?? "")}`)
    .then((html) => {
      if (html === null || !marker.isConnected) return;
      const fresh = parse(html);
      for (const entry of all("li", fresh)) {
        asServed.set(entry.id, entry.outerHTML);
        if (entry.id !== "earlier") byId(entry.id)?.remove(); // a day that has begun earlier than it seemed
      }
      const fromEnd = list.scrollHeight - list.scrollTop;
      marker.replaceWith(fresh);
      list.scrollTop = list.scrollHeight - fromEnd;
    })
    .catch(() => button.classList.remove("is-busy"));
});

// --- the whole message ---------------------------------------------------------------------------------------------

on("click", "[data-do=whole]", (button) => {
  const whole = button.closest<HTMLElement>(".whole");
  if (whole) toggleWhole(whole, button.getAttribute("aria-expanded") !== "true");
});

function toggleWhole(whole: HTMLElement, open: boolean): void {
  const button = find(".whole-toggle", whole);
  const body = find(".whole-body", whole);
  const words = button && find("span", button);
  if (!button || !body || !words) return;
  button.setAttribute("aria-expanded", String(open));
  words.textContent = (open ? words.dataset["hide"] : words.dataset["show"]) ?? "";
  body.hidden = !open;
  const text = whole.parentElement && find(":scope > .sheet-text", whole.parentElement);
  if (text) text.hidden = open;
  const template = find<HTMLTemplateElement>("template", body);
  if (open && template) {
    const frame = find<HTMLIFrameElement>("iframe", template.content);
    if (!frame) return;
    template.replaceWith(frame);
    frame.addEventListener("load", () => fit(frame));
  }
}

on("click", "[data-do=images]", (button) => {
  const frame = find<HTMLIFrameElement>("iframe", button.closest(".whole-body") ?? document);
  if (!frame) return;
  frame.src = `${frame.getAttribute("src") ?? ""}?images=1`;
  button.closest<HTMLElement>(".whole-images")?.remove();
});

/** Nothing runs in the frame, but it is of our origin: its height can be read, and its links told to open outside. */
function fit(frame: HTMLIFrameElement): void {
  const inside = frame.contentDocument;
  if (!inside?.body) return;
  for (const link of inside.querySelectorAll<HTMLAnchorElement>("a[href], area[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  const measure = () => (frame.style.height = `${Math.min(inside.documentElement.scrollHeight, 20_000)}px`);
  new ResizeObserver(measure).observe(inside.body);
  for (const picture of inside.images) picture.addEventListener("load", measure);
  frame.style.height = "0";
  measure();
}
