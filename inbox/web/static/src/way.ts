// Which way an answer leaves: the inbox it came in by, or another that reaches the same customer; what that channel
// takes and what stands in the way. The server says so, and again whenever something happens in the conversation.
import { fragment, inBackground } from "./api";
import { byId, parse } from "./dom";
import type { Writing } from "./drafts";
import { type Limits, limitsOf } from "./measure";

export class Way {
  private latest = 0;

  constructor(
    private readonly conversation: string,
    private readonly form: HTMLElement,
    private readonly shown: () => void,
  ) {}

  /** Read and show a way; without an inbox the one the conversation came in by. */
  async read(inbox = this.inbox, to = this.data["to"] ?? ""): Promise<void> {
    const turn = ++this.latest;
    const query = inbox ? `?inbox=${encodeURIComponent(inbox)}&to=${encodeURIComponent(to)}` : "";
    const work = fragment(`/conversations/${this.conversation}/writing${query}`).then((html) => {
      if (html === null || turn !== this.latest || !this.form.isConnected) return;
      byId("composer-about")?.replaceChildren(parse(html));
      this.shown();
    });
    inBackground(work); // the server looks once more before it sends
    await work.catch(() => undefined);
  }

  async readAgain(): Promise<void> {
    if (!document.querySelector("#ways-menu:popover-open")) await this.read();
  }

  forget(): void {
    this.latest++;
    byId("composer-about")?.replaceChildren();
  }

  get isElsewhere(): boolean {
    return this.inbox !== "";
  }

  get isFixed(): boolean {
    return this.has("fixed", this.box?.dataset["copies"] === "no");
  }

  get isRich(): boolean {
    return this.has("html", this.box?.dataset["html"] !== "no");
  }

  get hasFiles(): boolean {
    return this.has("files", this.box?.dataset["files"] !== "no");
  }

  get hasSubjects(): boolean {
    return this.has("subjects", false);
  }

  get isClosed(): boolean {
    return this.has("closed", false);
  }

  get limits(): Limits {
    return limitsOf(this.data);
  }

  /** Where a text is sent, beside what the composer's fields say. */
  target(writing: Writing): Partial<Writing> & { inbox?: string } {
    if (!this.isElsewhere || writing.mode === "note") return {};
    return { inbox: this.inbox, to: this.data["to"] ?? "", cc: "", bcc: "" };
  }

  private get inbox(): string {
    return this.data["inbox"] ?? "";
  }

  private get box(): HTMLElement | null {
    return byId("composer");
  }

  private get data(): DOMStringMap {
    return byId("writing")?.dataset ?? {};
  }

  private has(name: string, otherwise: boolean): boolean {
    const value = this.data[name];
    return value === undefined ? otherwise : value === "yes";
  }
}
