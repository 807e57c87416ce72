// Turning what is shown into what the server says now, keeping focus, selection and everything that is the same.
import htmx from "htmx.org";

import { csrf } from "./api";
import { toast } from "./toast";

export function morph(target: Element, html: string): Promise<void> {
  return htmx.swap({ target, text: html, swap: "outerMorph" });
}

export function morphInside(target: Element, html: string): Promise<void> {
  return htmx.swap({ target, text: html, swap: "innerMorph" });
}

// Pages that use htmx's own attributes: the token every unsafe request needs, and words for what went wrong.
document.addEventListener("htmx:config:request", (event) => {
  const detail = (event as CustomEvent<{ ctx: { request: { headers: Record<string, string> } } }>).detail;
  detail.ctx.request.headers["X-CSRF-Token"] = csrf();
});
document.addEventListener("problem", (event) => {
  const detail = (event as CustomEvent<{ message?: string; value?: { message?: string } }>).detail;
  const message = detail.message ?? detail.value?.message;
  if (message) toast({ text: message, alarm: true });
});
