// One conversation's composer: what is typed is never lost, what is sent can be taken back.
import { failed, settle } from "./actions";
import { call, Problem } from "./api";
import { all, byId, find, json } from "./dom";
import { type Draft, forgetHere, newest, Saver, type SaveState, type Writing } from "./drafts";
import { takeFiles } from "./dropping";
import type { Format } from "./editor";
import { showLength } from "./measure";
import { Pad } from "./pad";
import { isAtEnd, toEnd } from "./thread";
import { toast } from "./toast";
import { Uploads } from "./uploads";
import { Way } from "./way";
import { t } from "./words";

interface Queued {
  message_id: string;
  conversation_id: string;
  due_at: string | null;
}

const FIELDS = ["to", "cc", "bcc", "subject"] as const;
function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}

const ANSWERS = new Set(["reply", "reply_all", "forward"]);

/** What becomes of what was sent: the way back, and the conversation it went to. */
export interface Outcome {
  takeBack: (message: string, conversation: string, mode: string) => void;
  show: (conversation: string) => Promise<void>;
}

export class Composer {
  private mode = "reply";
  private sending: Promise<void> | null = null;
  /** The same for every try at sending one text: an answer lost on the way does not make it leave twice. */
  private key = freshKey();
  private readonly pad: Pad;
  private readonly way: Way;
  private readonly saver: Saver;
  private readonly uploads: Uploads;

  constructor(
    readonly conversation: string,
    private readonly box: HTMLElement,
    private readonly form: HTMLFormElement,
    text: HTMLElement,
    plain: HTMLTextAreaElement,
    private readonly outcome: Outcome,
  ) {
    this.pad = new Pad(text, plain, () => this.changed());
    this.pad.use(box.dataset["html"] === "no");
    this.way = new Way(conversation, form, () => this.followWay());
    this.saver = new Saver(conversation, (state) => this.showSaved(state));
    this.uploads = new Uploads(conversation, () => this.changed());
    for (const name of FIELDS) this.field(name)?.addEventListener("input", () => this.changed());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send(false);
    });
    takeFiles(form, text, {
      attach: (files) => this.attach(files),
      insert: (file) => void this.insertPicture(file),
    });
    const draft = json<Draft>("draft");
    this.uploads.show(draft?.files ?? []);
    const { writing, isUnsaved } = newest(conversation, draft);
    if (writing && (writing.html.trim() || draft?.files.length)) {
      this.fill(writing);
      this.show();
      void this.way.read();
      if (isUnsaved) this.saver.change(this.writing);
      else this.showSaved("saved");
    }
  }

  get isOpen(): boolean {
    return this.box.dataset["open"] === "yes";
  }

  get writing(): Writing {
    const [to, cc, bcc, subject] = FIELDS.map((name) => this.field(name)?.value ?? "") as [string, string, string, string];
    return { mode: this.mode, to, cc, bcc, subject, html: this.pad.html };
  }

  private get isBlank(): boolean {
    return this.pad.isEmpty && !this.uploads.count;
  }

  private field(name: string): HTMLInputElement | null {
    return find<HTMLInputElement>(`input[name=${name}]`, this.form);
  }

  /** Begin to write, or go on. Whom it goes to comes from the server; typing need not wait for that. */
  async begin(mode: string): Promise<void> {
    await this.sending;
    const fresh = !this.isOpen || (mode !== this.mode && ANSWERS.has(mode));
    if (fresh) void this.way.read();
    const needsStart = ANSWERS.has(mode) && (fresh ? mode !== this.mode || !this.field("to")?.value : false) && !this.way.isElsewhere;
    this.setMode(mode);
    this.show();
    this.pad.focus(mode !== "forward" && !this.pad.isEmpty);
    if (!needsStart) {
      if (fresh && !this.isBlank) this.changed();
      return;
    }
    await this.saver.flush();
    try {
      const before = this.pad.html;
      const draft = await call<Draft>("POST", `/conversations/${this.conversation}/draft/start`, { mode });
      if (this.mode !== mode) return;
      const html = mode === "forward" ? draft.html : this.pad.html || before;
      const isTyped = this.pad.html !== before;
      this.fillAddresses(draft);
      this.uploads.show(draft.files);
      if (mode === "forward" && !isTyped) this.pad.html = html;
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
    this.showFields();
    const text = byId("composer-text");
    this.pad.hint = (mode === "note" ? text?.dataset["placeholderNote"] : text?.dataset["placeholder"]) ?? "";
    const words = find("#composer-send span", this.form);
    if (words) words.textContent = (mode === "note" ? words.dataset["note"] : words.dataset["send"]) ?? "";
  }

  /** What this channel has, and no more. */
  private showFields(): void {
    const { way, mode } = this;
    const subject = find("[data-subject]", this.form);
    if (subject) subject.hidden = mode !== "forward" && !(way.isElsewhere && way.hasSubjects);
    const to = find("[data-to-line]", this.form);
    if (to) to.hidden = way.isFixed;
    if (way.isElsewhere) for (const line of all("[data-copies]", this.form)) line.hidden = true;
    for (const [name, shown] of [["attach", way.hasFiles || mode === "note"], ["formatting", way.isRich]] as const) {
      const button = find(`[data-do=${name}]`, this.form);
      if (button) button.hidden = !shown;
    }
    const bar = byId("composer-format");
    if (bar && !way.isRich) bar.hidden = true;
    this.pad.use(!way.isRich);
    this.measure();
  }

  private followWay(): void {
    if (this.way.isElsewhere && ANSWERS.has(this.mode) && this.mode !== "reply") this.mode = "reply";
    this.setMode(this.mode);
  }

  chooseWay(inbox: string, to: string): void {
    const subject = this.field("subject");
    if (subject) subject.value = "";
    void this.way.read(inbox, to).then(() => this.pad.resume());
  }

  /** Say how long it is; the button waits while it may not leave. */
  private measure(): void {
    const line = byId("composer-length");
    const button = byId<HTMLButtonElement>("composer-send");
    if (!line || !button) return;
    const isNote = this.mode === "note";
    const fits = showLength(line, this.pad.text, this.way.limits, (character) => this.pad.select(character));
    if (isNote) line.hidden = true;
    const may = isNote || (fits && !this.way.isClosed);
    button.disabled = !may;
    const more = byId<HTMLButtonElement>("composer-more");
    if (more) more.disabled = !may;
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
    this.pad.html = writing.html;
  }

  /** Put a draft of the server here: one that was taken back, or a failed message to be written anew. */
  resume(draft: Draft, mode = draft.mode): void {
    this.uploads.show(draft.files);
    this.fill({ ...draft, mode });
    this.show();
    void this.way.read();
    this.showSaved("saved");
    this.pad.focus(true);
  }

  private fillAddresses(writing: Writing): void {
    for (const name of FIELDS) {
      const field = this.field(name);
      if (field) field.value = writing[name];
    }
    this.showCopies(Boolean(writing.cc || writing.bcc));
  }

  showCopies(shown = true): void {
    if (this.way.isElsewhere) shown = false;
    for (const line of all("[data-copies]", this.form)) line.hidden = !shown;
    const button = find("[data-do=copies]", this.form);
    if (button) button.hidden = shown;
  }

  private changed(): void {
    this.showProblem("");
    this.measure();
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
    if (byId<HTMLButtonElement>("composer-send")?.disabled) return;
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
      const body = { ...writing, ...this.way.target(writing), resolve, key: this.key };
      const queued = await call<Queued>("POST", `/conversations/${conversation}/send`, body);
      this.key = freshKey();
      forgetHere(conversation);
      if (this.box.isConnected) this.clear();
      if (queued.conversation_id !== conversation) {
        toast({ text: t("sent_elsewhere"), seconds: 4 });
        if (this.box.isConnected) await this.outcome.show(queued.conversation_id);
        return;
      }
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
    else toast({ text, seconds, action: { label: t("undo"), countdown: true, run: () => this.outcome.takeBack(queued.message_id, conversation, mode) } });
  }

  private clear(): void {
    this.way.forget();
    this.uploads.show([]);
    this.pad.html = "";
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
      this.pad.format(what as Format);
      this.pad.resume();
      return;
    }
    const dialog = byId<HTMLDialogElement>("link-dialog");
    const input = byId<HTMLInputElement>("link-url");
    if (!dialog || !input) return;
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      this.pad.resume();
      if (dialog.returnValue === "ok") this.pad.link(input.value.trim());
    }, { once: true });
    dialog.showModal();
  }

  attach(files: Iterable<File>): void {
    if (!this.isOpen) void this.begin("reply");
    void this.uploads.add(files);
  }

  private async insertPicture(file: File): Promise<void> {
    const stored = await this.uploads.addPicture(file);
    if (!stored) return;
    this.pad.insertPicture(stored.url, stored.name);
    this.changed();
  }

  /** Something happened here meanwhile: the customer wrote, or wants no more. */
  lookAgain(): void {
    if (this.isOpen) void this.way.readAgain();
  }

  leave(): void {
    if (this.isBlank && this.isOpen) void this.discard(false);
    else void this.saver.flush();
    this.pad.destroy();
  }
}
