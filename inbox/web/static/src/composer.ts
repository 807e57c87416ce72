// The composer: what is typed is never lost, what is sent can be taken back.
import { failed, settle } from "./actions";
import { call, Problem } from "./api";
import { all, byId, find, json, on } from "./dom";
import { type Draft, forgetHere, newest, Saver, type SaveState, type Writing } from "./drafts";
import { Editor, type Format } from "./editor";
import { go } from "./inbox";
import { here } from "./place";
import { isAtEnd, openId, refreshThread, toEnd } from "./thread";
import { toast } from "./toast";
import { Uploads } from "./uploads";
import { t } from "./words";

interface Queued {
  message_id: string;
  due_at: string | null;
}

const FIELDS = ["to", "cc", "bcc", "subject"] as const;
function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}

const ANSWERS = new Set(["reply", "reply_all", "forward"]);

class Composer {
  private mode = "reply";
  private sending: Promise<void> | null = null;
  /** The same for every try at sending one text: an answer lost on the way does not make it leave twice. */
  private key = freshKey();
  private readonly editor: Editor;
  private readonly saver: Saver;
  private readonly uploads: Uploads;

  constructor(
    readonly conversation: string,
    private readonly box: HTMLElement,
    private readonly form: HTMLFormElement,
    text: HTMLElement,
  ) {
    this.editor = new Editor(text, () => this.changed());
    this.saver = new Saver(conversation, (state) => this.showSaved(state));
    this.uploads = new Uploads(conversation, () => this.changed());
    for (const name of FIELDS) this.field(name)?.addEventListener("input", () => this.changed());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send(false);
    });
    this.takeFiles(text);
    const draft = json<Draft>("draft");
    this.uploads.show(draft?.files ?? []);
    const { writing, isUnsaved } = newest(conversation, draft);
    if (writing && (writing.html.trim() || draft?.files.length)) {
      this.fill(writing);
      this.show();
      if (isUnsaved) this.saver.change(this.writing);
      else this.showSaved("saved");
    }
  }

  get isOpen(): boolean {
    return this.box.dataset["open"] === "yes";
  }

  get writing(): Writing {
    const [to, cc, bcc, subject] = FIELDS.map((name) => this.field(name)?.value ?? "") as [string, string, string, string];
    return { mode: this.mode, to, cc, bcc, subject, html: this.editor.html };
  }

  private get isBlank(): boolean {
    return this.editor.isEmpty && !this.uploads.count;
  }

  private field(name: string): HTMLInputElement | null {
    return find<HTMLInputElement>(`input[name=${name}]`, this.form);
  }

  /** Begin to write, or go on. Whom it goes to comes from the server; typing need not wait for that. */
  async begin(mode: string): Promise<void> {
    await this.sending;
    const fresh = !this.isOpen || (mode !== this.mode && ANSWERS.has(mode));
    const needsStart = ANSWERS.has(mode) && (fresh ? mode !== this.mode || !this.field("to")?.value : false);
    this.setMode(mode);
    this.show();
    this.editor.focus(mode !== "forward" && !this.editor.isEmpty);
    if (!needsStart) {
      if (fresh && !this.isBlank) this.changed();
      return;
    }
    await this.saver.flush();
    try {
      const before = this.editor.html;
      const draft = await call<Draft>("POST", `/conversations/${this.conversation}/draft/start`, { mode });
      if (this.mode !== mode) return;
      const html = mode === "forward" ? draft.html : this.editor.html || before;
      const isTyped = this.editor.html !== before;
      this.fillAddresses(draft);
      this.uploads.show(draft.files);
      if (mode === "forward" && !isTyped) this.editor.html = html;
      if (mode === "forward") {
        const to = this.field("to");
        if (to) to.focus();
      }
    } catch (error) {
      failed(error);
    }
  }

  private setMode(mode: string): void {
    this.mode = mode;
    this.box.dataset["mode"] = mode;
    for (const tab of all(".composer-tab", this.box)) {
      tab.setAttribute("aria-pressed", String(this.isOpen && tab.dataset["mode"] === mode));
    }
    const subject = find("[data-subject]", this.form);
    if (subject) subject.hidden = mode !== "forward";
    const text = byId("composer-text");
    const placeholder = mode === "note" ? text?.dataset["placeholderNote"] : text?.dataset["placeholder"];
    text?.setAttribute("aria-placeholder", placeholder ?? "");
    const words = find("#composer-send span", this.form);
    if (words) words.textContent = (mode === "note" ? words.dataset["note"] : words.dataset["send"]) ?? "";
  }

  private show(): void {
    const stay = isAtEnd();
    this.box.dataset["open"] = "yes";
    this.form.hidden = false;
    this.setMode(this.mode);
    if (stay) toEnd();
  }

  close(): void {
    this.box.dataset["open"] = "no";
    this.form.hidden = true;
    this.setMode(this.mode);
    if (this.isBlank) void this.discard(false);
    else void this.saver.flush();
  }

  fill(writing: Writing): void {
    this.setMode(writing.mode);
    this.fillAddresses(writing);
    this.editor.html = writing.html;
  }

  /** Put a draft of the server here: one that was taken back, or a failed message to be written anew. */
  resume(draft: Draft, mode = draft.mode): void {
    this.uploads.show(draft.files);
    this.fill({ ...draft, mode });
    this.show();
    this.showSaved("saved");
    this.editor.focus(true);
  }

  private fillAddresses(writing: Writing): void {
    for (const name of FIELDS) {
      const field = this.field(name);
      if (field) field.value = writing[name];
    }
    this.showCopies(Boolean(writing.cc || writing.bcc));
  }

  showCopies(shown = true): void {
    for (const line of all("[data-copies]", this.form)) line.hidden = !shown;
    const button = find("[data-do=copies]", this.form);
    if (button) button.hidden = shown;
  }

  private changed(): void {
    this.showProblem("");
    this.saver.change(this.writing);
  }

  private showSaved(state: SaveState): void {
    const place = byId("composer-saved");
    const words = { saved: "draft_saved", saving: "draft_saving", "kept here": "draft_kept_here", "": "" }[state];
    if (place) place.textContent = words && this.isOpen ? t(words) : "";
  }

  private showProblem(words: string): void {
    const place = byId("composer-problem");
    if (!place) return;
    place.hidden = !words;
    place.textContent = words;
    for (const name of FIELDS) this.field(name)?.removeAttribute("aria-invalid");
  }

  async send(resolve: boolean): Promise<void> {
    if (this.sending) return;
    if (this.isBlank) return this.showProblem(t("write_first"));
    const button = byId("composer-send");
    button?.classList.add("is-busy");
    this.sending = this.deliver(resolve).finally(() => {
      this.sending = null;
      button?.classList.remove("is-busy");
    });
    await this.sending;
    await settle(this.conversation).catch(() => undefined);
  }

  private async deliver(resolve: boolean): Promise<void> {
    const { conversation } = this;
    this.showProblem("");
    if (!(await this.uploads.settled())) return this.showProblem(t("file_missing"));
    await this.saver.stop();
    const { writing } = this;
    try {
      const queued = await call<Queued>("POST", `/conversations/${conversation}/send`, { ...writing, resolve, key: this.key });
      this.key = freshKey();
      forgetHere(conversation);
      if (composer === this) this.clear();
      this.say(writing.mode, resolve, queued, conversation);
    } catch (error) {
      this.saver.change(this.writing);
      this.refuse(error);
    }
  }

  private refuse(error: unknown): void {
    const problem = error instanceof Problem ? error : null;
    this.showProblem(`${t("not_sent")} ${problem?.words ?? t("failed")}`);
    for (const name of Object.keys(problem?.fields ?? {})) {
      const field = this.field(name);
      field?.setAttribute("aria-invalid", "true");
      if (name === "cc" || name === "bcc") this.showCopies();
      field?.focus();
    }
  }

  private say(mode: string, resolved: boolean, queued: Queued, conversation: string): void {
    if (mode === "note") {
      toast({ text: t("noted"), seconds: 3 });
      return;
    }
    const seconds = queued.due_at ? Math.round((Date.parse(queued.due_at) - Date.now()) / 1000) : 0;
    const text = t(resolved ? "sent_resolved" : "sent");
    if (seconds < 1) toast({ text, seconds: 4 });
    else toast({ text, seconds, action: { label: t("undo"), countdown: true, run: () => takeBack(queued.message_id, conversation, mode) } });
  }

  private clear(): void {
    this.uploads.show([]);
    this.editor.html = "";
    this.fillAddresses({ mode: "reply", to: "", cc: "", bcc: "", subject: "", html: "" });
    this.mode = "reply";
    this.box.dataset["open"] = "no";
    this.form.hidden = true;
    this.setMode("reply");
    this.showSaved("");
    byId("thread-scroll")?.focus({ preventScroll: true });
  }

  async discard(say = true): Promise<void> {
    await this.saver.stop();
    forgetHere(this.conversation);
    const { writing } = this;
    const hadFiles = this.uploads.count > 0;
    this.clear();
    try {
      await call("DELETE", `/conversations/${this.conversation}/draft`);
    } catch (error) {
      if (say) failed(error);
    }
    if (!say || hadFiles || !writing.html) return;
    const undo = () => {
      this.fill(writing);
      this.show();
      this.changed();
    };
    toast({ text: t("draft_gone"), action: { label: t("undo"), run: undo } });
  }

  format(what: string): void {
    if (what !== "link") {
      this.editor.format(what as Format);
      this.editor.resume();
      return;
    }
    const dialog = byId<HTMLDialogElement>("link-dialog");
    const input = byId<HTMLInputElement>("link-url");
    if (!dialog || !input) return;
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      this.editor.resume();
      if (dialog.returnValue === "ok") this.editor.link(input.value.trim());
    }, { once: true });
    dialog.showModal();
  }

  attach(files: Iterable<File>): void {
    if (!this.isOpen) void this.begin("reply");
    void this.uploads.add(files);
  }

  /** Files that are pasted or dropped: a pasted picture goes into the text, everything else beside it. */
  private takeFiles(text: HTMLElement): void {
    text.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length || event.clipboardData?.types.includes("text/html")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      for (const file of files) {
        if (file.type.startsWith("image/")) void this.insertPicture(file);
        else void this.uploads.add([file]);
      }
    }, true);
    this.form.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.form.classList.add("is-dropping");
    });
    this.form.addEventListener("dragleave", (event) => {
      if (!this.form.contains(event.relatedTarget as Node | null)) this.form.classList.remove("is-dropping");
    });
    this.form.addEventListener("drop", (event) => {
      this.form.classList.remove("is-dropping");
      const files = event.dataTransfer?.files;
      if (!files?.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.attach(files);
    }, true);
  }

  private async insertPicture(file: File): Promise<void> {
    const stored = await this.uploads.addPicture(file);
    if (!stored) return;
    this.editor.insertPicture(stored.url, stored.name);
    this.changed();
  }

  leave(): void {
    if (this.isBlank && this.isOpen) void this.discard(false);
    else void this.saver.flush();
    this.editor.destroy();
  }
}

let composer: Composer | null = null;

function init(): void {
  leave();
  const box = byId("composer");
  const form = byId<HTMLFormElement>("composer-form");
  const text = byId("composer-text");
  if (box && form && text) composer = new Composer(openId(), box, form, text);
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
