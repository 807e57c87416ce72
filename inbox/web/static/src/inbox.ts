// The inbox as a whole: the address bar names what is shown, and what happens elsewhere refreshes exactly what it touches.
import { failed } from "./actions";
import { inBackground, Problem } from "./api";
import { refreshCustomer } from "./customer";
import { all, byId, find, on } from "./dom";
import { type Change, onChange, onResync } from "./live";
import { focusList, initList, loadList, markCurrent, refreshRow, resyncList } from "./list";
import { address, here, type Place, placeOf, setHere } from "./place";
import { startSplitter } from "./splitter";
import { closeThread, initThread, loadThread, openId, refreshFirstSteps, refreshThread } from "./thread";
import { countSoon, markView, refreshViews, setTitle, showUnread } from "./views";
import { t } from "./words";

export function startInbox(): void {
  const place = here();
  history.replaceState(null, "", address(place));
  startSplitter();
  initList();
  initThread();
  showUnread();
  onChange(follow);
  onResync(resync);
  addEventListener("popstate", () => {
    const to = placeOf(new URL(location.href));
    if (to) void go(to, false);
  });
}

/** Show another place. `push`: the way back leads to the one that is left. `again`: also what is shown already. */
export async function go(to: Place, push = true, again = false): Promise<void> {
  const from = here();
  const newList = again || to.list !== from.list || to.status !== from.status;
  const newThread = to.conversation !== from.conversation || (to.conversation !== "" && openId() !== to.conversation);
  if (push && (newList || newThread)) history.pushState(null, "", address(to));
  setHere(to);
  document.body.classList.remove("views-drawn", "customer-drawn");
  markView();
  markCurrent();
  try {
    await Promise.all([
      newList ? loadList(to).then(markCurrent) : undefined,
      newThread ? (to.conversation ? loadThread(to.conversation) : closeThread()) : undefined,
    ]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    failed(error);
    if (error instanceof Problem && error.status === 404 && to.conversation) await go({ ...to, conversation: "" });
  }
  showTitle();
}

export function open(conversation: string): void {
  void go({ ...here(), conversation });
}

export function backToList(): void {
  void go({ ...here(), conversation: "" }).then(focusList);
}

function showTitle(): void {
  const subject = byId("subject")?.textContent?.trim();
  const view = find(".view-link[aria-current]")?.dataset["label"];
  setTitle((here().conversation && subject) || view || t("inbox"));
}

// --- what happens elsewhere --------------------------------------------------------------------------------------

function follow(change: Change): void {
  const { type, conversation_id: conversation, customer_id: customer } = change;
  const [about] = type.split(".");
  if (conversation) {
    countSoon();
    inBackground(refreshRow(conversation));
    if (conversation === openId()) inBackground(refreshThread());
  }
  if (about === "inbox" || about === "agent") countSoon();
  if (about === "inbox" || about === "message") inBackground(refreshFirstSteps());
  const isShown = customer !== "" && customer === byId("thread")?.dataset["customer"];
  if (isShown && (about === "customer" || about === "conversation")) inBackground(refreshCustomer());
}

function resync(): void {
  for (const part of [refreshViews(), resyncList(), refreshThread(), refreshFirstSteps()]) inBackground(part);
}

// --- links -----------------------------------------------------------------------------------------------------------

on("click", ".view-link, .row-link, [data-list-link]", (link, event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const to = placeOf(new URL((link as HTMLAnchorElement).href));
  if (!to) return;
  event.preventDefault();
  const from = here();
  const keepsList = to.list === from.list && to.status === from.status;
  const isWide = innerWidth >= 768;
  void go(link.matches(".row-link") || (keepsList && !isWide) ? to : { ...to, conversation: isWide ? from.conversation : "" });
});

on("click", "[data-open-id]", (link, event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(link.dataset["openId"] ?? "");
});

on("click", "[data-do=retry]", () => void go(here(), false, true));

on("click", "[data-do=back]", (_, event) => {
  event.preventDefault();
  backToList();
});

on("click", "[data-do=views]", () => {
  document.body.classList.toggle("views-drawn");
  if (document.body.classList.contains("views-drawn")) all(".view-link")[0]?.focus();
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target && !target.closest("#views, [data-do=views]")) document.body.classList.remove("views-drawn");
});
