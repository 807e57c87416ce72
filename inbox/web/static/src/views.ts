// The views with their counts, and the number of unread conversations on the tab.
import { fragment, inBackground } from "./api";
import { all, byId, json } from "./dom";
import { morphInside } from "./morph";
import { here, query } from "./place";

interface Choices {
  me: string;
  labels: string[];
  people: { id: string; name: string }[];
}

const PAUSE = 400;
let timer = 0;
let title = document.title;

export function choices(): Choices {
  return json<Choices>("choices") ?? { me: "", labels: [], people: [] };
}

/** Count again soon; many changes at once are counted once. */
export function countSoon(): void {
  timer ||= setTimeout(() => {
    timer = 0;
    inBackground(refreshViews());
  }, PAUSE);
}

export async function refreshViews(): Promise<void> {
  const place = here();
  const views = byId("views");
  if (!views) return;
  const html = await fragment(`${place.list}/views${query(place)}`);
  if (html !== null && views.isConnected) await morphInside(views, html);
  markView();
  showUnread();
}

export function markView(): void {
  const place = here();
  for (const link of all<HTMLAnchorElement>(".view-link")) {
    const path = link.dataset["path"] ?? "";
    if (path === place.list) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.href = path + query(place);
  }
}

export function setTitle(words: string): void {
  title = `${words} · Örtöö`;
  showUnread();
}

export function showUnread(): void {
  const unread = Number(byId("unread")?.dataset["unread"] ?? 0);
  const figure = unread >= 1000 ? "999+" : String(unread);
  document.title = unread ? `(${figure}) ${title}` : title;
  const badge = byId("rail-unread");
  if (badge) {
    badge.hidden = unread === 0;
    badge.textContent = unread > 99 ? "99+" : String(unread);
  }
}
