// The composer of the open conversation: what the page's buttons and keys do with it.
import { failed, settle } from "./actions";
import { call } from "./api";
import { Composer } from "./composer_box";
import { byId, find, on } from "./dom";
import type { Draft } from "./drafts";
import { go } from "./inbox";
import { onChange } from "./live";
import { here } from "./place";
import { openId, refreshThread } from "./thread";
import { toast } from "./toast";
import { t } from "./words";

let composer: Composer | null = null;

function init(): void {
  leave();
  const box = byId("composer");
  const form = byId<HTMLFormElement>("composer-form");
  const text = byId("composer-text");
  const plain = byId<HTMLTextAreaElement>("composer-plain");
  if (!box || !form || !text || !plain) return;
  composer = new Composer(openId(), box, form, text, plain, { takeBack: (...of) => void takeBack(...of), show });
}

export function write(mode: string): void {
  void composer?.begin(mode);
}

function leave(): void {
  composer?.leave();
  composer = null;
}

async function takeBack(message: string, conversation: string, mode: string): Promise<void> {
  try {
    const draft = await call<Draft>("POST", `/messages/${message}/undo`);
    await show(conversation);
    composer?.resume(draft, mode);
    toast({ text: t("taken_back"), seconds: 3 });
    await settle(conversation);
  } catch (error) {
    failed(error);
    await refreshThread();
  }
}

async function show(conversation: string): Promise<void> {
  if (openId() !== conversation) await go({ ...here(), conversation });
}

async function resend(message: string): Promise<void> {
  try {
    await call("POST", `/messages/${message}/resend`);
    toast({ text: t("sent_again"), seconds: 3 });
  } catch (error) {
    failed(error);
  }
  await settle(openId());
}

async function edit(message: string): Promise<void> {
  try {
    composer?.resume(await call<Draft>("POST", `/messages/${message}/edit`));
  } catch (error) {
    failed(error);
  }
}

const messageOf = (button: HTMLElement) => button.closest<HTMLElement>(".entry")?.dataset["id"] ?? "";

document.addEventListener("thread:shown", init);
document.addEventListener("thread:gone", leave);
addEventListener("pagehide", () => composer?.leave());
on("click", ".composer-tab", (tab) => write(tab.dataset["mode"] ?? "reply"));
on("click", "[data-do=copies]", () => (composer?.showCopies(), byId("composer-cc")?.focus()));
on("click", "[data-do=close-composer]", () => closeComposer());
on("click", "[data-do=discard]", () => void composer?.discard());
on("click", "[data-do=send-resolve]", () => void composer?.send(true));
on("click", "[data-do=attach]", () => byId("composer-file")?.click());
on("click", "[data-do=formatting]", (button) => {
  const bar = byId("composer-format");
  if (!bar) return;
  bar.hidden = !bar.hidden;
  button.setAttribute("aria-expanded", String(!bar.hidden));
});
on("pointerdown", "[data-format]", (_, event) => event.preventDefault()); // the selection stays
on("click", "[data-format]", (button) => composer?.format(button.dataset["format"] ?? ""));
on("change", "#composer-file", (input) => {
  const field = input as HTMLInputElement;
  composer?.attach([...(field.files ?? [])]);
  field.value = "";
});
on("click", "[data-way]", (item) => {
  find("#ways-menu")?.hidePopover();
  composer?.chooseWay(item.dataset["way"] ?? "", item.dataset["wayTo"] ?? "");
});
onChange((change) => {
  const customer = byId("thread")?.dataset["customer"];
  if (change.conversation_id === openId() || (customer && change.customer_id === customer)) composer?.lookAgain();
});
on("click", "[data-do=resend]", (button) => void resend(messageOf(button)));
on("click", "[data-do=edit]", (button) => void edit(messageOf(button)));
on("click", "[data-do=undo-send]", (button) => void takeBack(messageOf(button), openId(), "reply"));
on("keydown", "#composer", (_, event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void composer?.send(event.shiftKey);
  } else if (event.key === "Escape" && !event.defaultPrevented) {
    event.preventDefault();
    event.stopPropagation();
    byId("thread-scroll")?.focus({ preventScroll: true });
  }
});

export function closeComposer(): void {
  composer?.close();
  byId("thread-scroll")?.focus({ preventScroll: true });
}

export function isComposerOpen(): boolean {
  return composer?.isOpen ?? false;
}
