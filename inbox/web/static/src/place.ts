// Where the person is, as the address bar names it: a list (view and status) and, maybe, a conversation.
import { byId } from "./dom";

export interface Place {
  /** The view's path, /inbox/mine. */
  list: string;
  status: string;
  conversation: string;
}

const PATTERN = /^(\/inbox\/(?:mine|unassigned|all|in\/[^/]+|label\/[^/]+))(?:\/c\/([^/]+))?$/;

export function placeOf(url: URL): Place | null {
  const match = PATTERN.exec(url.pathname);
  if (!match || url.origin !== location.origin) return null;
  return { list: match[1] ?? "", status: url.searchParams.get("status") ?? "open", conversation: match[2] ?? "" };
}

export function here(): Place {
  const data = byId("panes")?.dataset ?? {};
  return { list: data["list"] ?? "", status: data["status"] ?? "open", conversation: data["conversation"] ?? "" };
}

export function setHere(place: Place): void {
  const panes = byId("panes");
  if (!panes) return;
  panes.dataset["list"] = place.list;
  panes.dataset["status"] = place.status;
  panes.dataset["conversation"] = place.conversation;
}

export function query(place: Place): string {
  return place.status === "open" ? "" : `?status=${encodeURIComponent(place.status)}`;
}

export function address(place: Place): string {
  return place.list + (place.conversation ? `/c/${place.conversation}` : "") + query(place);
}

export function me(): string {
  return byId("panes")?.dataset["agent"] ?? "";
}
