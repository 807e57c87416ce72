// Beginning a conversation: an inbox, somebody to write to, and the text, which stays until it is sent.
import { call, Problem } from "./api";
import { all, byId, element, find, isTyping } from "./dom";
import { limitsOf, showLength } from "./measure";
import { Pad } from "./pad";
import { t } from "./words";

interface Person {
  name: string;
  addresses: { kind: string; value: string; opted_out: boolean }[];
}

interface Found {
  name: string;
  kind: string;
  value: string;
}

interface Kept {
  inbox: string;
  to: string;
  subject: string;
  html: string;
}

const PAUSE = 150;

function freshKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}

class NewPage {
  private readonly inbox = byId<HTMLSelectElement>("new-inbox")!;
  private readonly to = byId<HTMLInputElement>("new-to")!;
  private readonly subject = byId<HTMLInputElement>("new-subject")!;
  private readonly list = byId("new-people")!;
  private readonly pad: Pad;
  private readonly store: string;
  /** The same for every try at sending one text. */
  private key = freshKey();
  private found: Found[] = [];
  private active = -1;
  private timer = 0;
  private asked = 0;
  private isSending = false;

  constructor(private readonly form: HTMLFormElement, agent: string) {
    this.store = `new:${agent}`;
    this.pad = new Pad(byId("new-text")!, byId<HTMLTextAreaElement>("new-plain")!, () => this.changed());
    this.restore();
    this.follow();
    this.inbox.addEventListener("change", () => {
      this.follow();
      this.changed();
    });
    this.to.addEventListener("input", () => {
      this.changed();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.search(), PAUSE);
    });
    this.to.addEventListener("keydown", (event) => this.steer(event));
    this.to.addEventListener("blur", () => this.showPeople([]));
    this.subject.addEventListener("input", () => this.changed());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.clear();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      void this.send();
    });
  }

  private get option(): HTMLOptionElement | undefined {
    return this.inbox.selectedOptions[0];
  }

  private get writing(): Kept {
    return { inbox: this.inbox.value, to: this.to.value, subject: this.subject.value, html: this.pad.html };
  }

  /** What this inbox's channel has. */
  private follow(): void {
    const data = this.option?.dataset ?? {};
    this.pad.use(data["html"] !== "yes");
    const subject = find("[data-field=subject]", this.form);
    if (subject) subject.hidden = data["subjects"] !== "yes";
    for (const help of all("#new-to-help > [data-kind]")) help.hidden = help.dataset["kind"] !== data["kind"];
    this.to.inputMode = data["kind"] === "email" ? "email" : "text";
    this.measure();
  }

  private measure(): void {
    const line = byId("new-length");
    const button = byId<HTMLButtonElement>("new-send");
    if (!line || !button) return;
    button.disabled = !showLength(line, this.pad.text, limitsOf(this.option?.dataset ?? {}), (each) => this.pad.select(each));
  }

  private changed(): void {
    this.showProblems("", {});
    this.measure();
    const kept = byId("new-kept");
    const { to, subject } = this.writing;
    if (!to.trim() && !subject.trim() && this.pad.isEmpty) {
      localStorage.removeItem(this.store);
      if (kept) kept.textContent = "";
      return;
    }
    try {
      localStorage.setItem(this.store, JSON.stringify(this.writing));
      if (kept) kept.textContent = kept.dataset["kept"] ?? "";
    } catch {
      if (kept) kept.textContent = ""; // the browser's store is full or closed
    }
  }

  private restore(): void {
    const text = localStorage.getItem(this.store);
    if (!text) return;
    const kept = JSON.parse(text) as Kept;
    const isAddressed = this.to.value !== ""; // the page was opened for somebody
    if (!isAddressed && all<HTMLOptionElement>("option", this.inbox).some((each) => each.value === kept.inbox)) {
      this.inbox.value = kept.inbox;
      this.to.value = kept.to;
    }
    this.follow();
    this.subject.value = kept.subject;
    this.pad.html = kept.html;
  }

  private clear(): void {
    localStorage.removeItem(this.store);
    this.to.value = "";
    this.subject.value = "";
    this.pad.html = "";
    this.showProblems("", {});
    this.measure();
    const kept = byId("new-kept");
    if (kept) kept.textContent = "";
    this.to.focus();
  }

  // --- people --------------------------------------------------------------------------------------------------------

  private async search(): Promise<void> {
    const text = this.to.value.trim();
    const turn = ++this.asked;
    if (text.length < 2 || text.includes(",")) return this.showPeople([]);
    let people: Person[] = [];
    try {
      people = await call<Person[]>("GET", `/inbox/new/people?q=${encodeURIComponent(text)}`);
    } catch {
      return; // an address can still be typed
    }
    if (turn !== this.asked || document.activeElement !== this.to) return;
    const kinds = new Set(all("option", this.inbox).map((option) => option.dataset["kind"] ?? ""));
    const found = people.flatMap(({ name, addresses }) => addresses.map(({ kind, value }) => ({ name, kind, value })));
    this.showPeople(found.filter(({ kind, value }) => kinds.has(kind) && value !== text));
  }

  private showPeople(found: Found[]): void {
    this.found = found;
    this.active = -1;
    this.list.hidden = !found.length;
    this.to.setAttribute("aria-expanded", String(found.length > 0));
    this.to.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(...found.map(({ name, value }, at) => {
      const address = element("span", "muted small clip numbers", value);
      const item = element("div", "menu-item", element("span", "clip", name), address);
      item.id = `new-person-${at}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.addEventListener("pointerdown", (event) => {
        event.preventDefault(); // the focus stays
        this.choose(at);
      });
      return item;
    }));
  }

  private steer(event: KeyboardEvent): void {
    if (!this.found.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      this.active = (this.active + by + this.found.length) % this.found.length;
      if (this.active < 0) this.active = this.found.length - 1;
      [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.active)));
      this.list.children[this.active]?.scrollIntoView({ block: "nearest" });
      this.to.setAttribute("aria-activedescendant", `new-person-${this.active}`);
    } else if (event.key === "Enter" && this.active >= 0) this.choose(this.active);
    else if (event.key === "Escape") this.showPeople([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Write to somebody, from an inbox that reaches this address. */
  private choose(at: number): void {
    const one = this.found[at];
    if (!one) return;
    if (this.option?.dataset["kind"] !== one.kind) {
      const fitting = all<HTMLOptionElement>("option", this.inbox).find((option) => option.dataset["kind"] === one.kind);
      if (fitting) this.inbox.value = fitting.value;
    }
    this.to.value = one.value;
    this.showPeople([]);
    this.follow();
    this.changed();
    if (this.subject.closest("[hidden]")) this.pad.focus(true);
    else this.subject.focus();
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  private async send(): Promise<void> {
    const button = byId<HTMLButtonElement>("new-send");
    if (this.isSending || button?.disabled) return;
    this.isSending = true;
    button?.classList.add("is-busy");
    try {
      const sent = await call<{ conversation_id: string }>("POST", "/inbox/new", { ...this.writing, key: this.key });
      localStorage.removeItem(this.store);
      location.assign(`/c/${sent.conversation_id}`);
    } catch (error) {
      const problem = error instanceof Problem ? error : null;
      this.showProblems(problem?.message ?? t("failed"), problem?.fields ?? {});
      this.isSending = false;
      button?.classList.remove("is-busy");
    }
  }

  private showProblems(words: string, fields: Record<string, string>): void {
    const place = byId("new-problem");
    const known = ["inbox", "to", "subject", "html"];
    const others = Object.entries(fields).filter(([name]) => !known.includes(name)).map(([, each]) => each);
    if (place) {
      place.textContent = words ? [t("not_sent"), ...(Object.keys(fields).length ? others : [words])].join(" ") : "";
      place.hidden = !words;
    }
    const inputs: Record<string, HTMLElement> = { inbox: this.inbox, to: this.to, subject: this.subject, html: this.pad.box };
    let first: HTMLElement | null = null;
    for (const name of known) {
      const error = byId(`new-${name}-error`);
      if (error) {
        error.hidden = !fields[name];
        error.textContent = fields[name] ?? "";
      }
      if (fields[name]) {
        inputs[name]?.setAttribute("aria-invalid", "true");
        first ??= inputs[name] ?? null;
      } else inputs[name]?.removeAttribute("aria-invalid");
    }
    first?.focus();
  }
}

const page = byId("new-page");
const form = byId<HTMLFormElement>("new-form");
if (page && form) new NewPage(form, page.dataset["agent"] ?? "");

export function beginNew(): void {
  location.assign("/inbox/new");
}

document.addEventListener("keydown", (event) => {
  const isKey = event.key === "c" || (event.code === "KeyC" && !/^[\x20-\x7e]$/.test(event.key));
  if (!isKey || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || find("dialog[open], .menu:popover-open") || !find("[data-new]")) return;
  event.preventDefault();
  beginNew();
});
