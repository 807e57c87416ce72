// Files of the draft: sent one by one with their progress, shown as chips, taken off again.
import { call, csrf, Problem, problemOf } from "./api";
import type { DraftFile } from "./drafts";
import { byId, element, icon } from "./dom";
import { t } from "./words";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

export class Uploads {
  private readonly running = new Set<Promise<DraftFile | null>>();
  private readonly requests = new Set<XMLHttpRequest>();

  constructor(
    private readonly conversation: string,
    private readonly changed: () => void,
  ) {}

  /** Wait for every file that is on its way; whether all of them arrived. */
  async settled(): Promise<boolean> {
    await Promise.all(this.running);
    return !this.box?.querySelector(".is-failed");
  }

  get count(): number {
    return this.box?.children.length ?? 0;
  }

  private get box(): HTMLElement | null {
    return byId("composer-files");
  }

  show(files: DraftFile[]): void {
    this.box?.replaceChildren(...files.filter((file) => !file.inline).map((file) => this.chip(file)));
  }

  stop(): void {
    for (const request of this.requests) request.abort();
  }

  async add(files: Iterable<File>): Promise<void> {
    await Promise.all([...files].map((file) => this.upload(file)));
  }

  /** A picture for the text itself. */
  async addPicture(file: File): Promise<DraftFile | null> {
    return this.upload(file, true);
  }

  private upload(file: File, inline = false): Promise<DraftFile | null> {
    const task = this.send(file, inline).finally(() => {
      this.running.delete(task);
      this.changed();
    });
    this.running.add(task);
    return task;
  }

  private async send(file: File, inline: boolean): Promise<DraftFile | null> {
    const chip = this.progressChip(file.name, file.size);
    this.box?.append(chip.element);
    try {
      const stored = await this.put(file, inline, chip);
      if (inline) chip.element.remove();
      else chip.element.replaceWith(this.chip(stored));
      return stored;
    } catch (error) {
      chip.fail(error instanceof Problem ? error.words : t("upload_failed"));
      return null;
    }
  }

  private put(file: File, inline: boolean, chip: ProgressChip): Promise<DraftFile> {
    const query = new URLSearchParams({ name: file.name || "image.png", ...(inline ? { inline: "1" } : {}) });
    const request = new XMLHttpRequest();
    this.requests.add(request);
    chip.onCancel(() => request.abort());
    return new Promise<DraftFile>((resolve, reject) => {
      request.open("POST", `/conversations/${this.conversation}/draft/files?${query}`);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-CSRF-Token", csrf());
      request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
      request.upload.addEventListener("progress", (event) => chip.progress(event.loaded / event.total));
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(JSON.parse(request.responseText) as DraftFile);
        else reject(problemOf(request.status, request.responseText));
      });
      request.addEventListener("error", () => reject(new Problem(0, t("offline"))));
      request.addEventListener("abort", () => reject(new Problem(0, t("upload_failed"))));
      request.send(file);
    }).finally(() => this.requests.delete(request));
  }

  private chip(file: DraftFile): HTMLElement {
    const link = element("a", "file", mark(file), words(file.name, size(file.size)));
    link.href = file.url;
    link.target = "_blank";
    const made = element("li", "file-row", link);
    made.append(remover(file.name, () => this.detach(file, made)));
    return made;
  }

  private detach(file: DraftFile, chip: HTMLElement): void {
    chip.hidden = true;
    void call("DELETE", `/conversations/${this.conversation}/draft/files/${file.id}`).then(
      () => {
        chip.remove();
        this.changed();
      },
      () => (chip.hidden = false),
    );
  }

  private progressChip(name: string, bytes: number): ProgressChip {
    const bar = element("progress", "file-progress");
    const figure = element("span", "muted numbers", size(bytes));
    const box = element("span", "file", element("span", "file-mark", icon("upload")), words(name, figure));
    const made = element("li", "file-row", box, bar);
    let cancel: () => void = () => made.remove();
    made.append(remover(name, () => (cancel(), made.remove())));
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", name);
    return {
      element: made,
      progress: (part) => {
        bar.value = part;
        figure.textContent = `${size(bytes * part)} / ${size(bytes)}`;
      },
      fail: (why) => {
        made.classList.add("is-failed");
        bar.remove();
        figure.textContent = why;
      },
      onCancel: (run) => (cancel = run),
    };
  }
}

interface ProgressChip {
  element: HTMLElement;
  progress: (part: number) => void;
  fail: (why: string) => void;
  onCancel: (run: () => void) => void;
}

function mark(file: DraftFile): HTMLElement {
  if (!PICTURES.has(file.media_type)) return element("span", "file-mark", icon("file"));
  const picture = element("img", "file-picture");
  picture.src = file.url;
  picture.alt = "";
  return picture;
}

function words(name: string, detail: string | HTMLElement): HTMLElement {
  const small = typeof detail === "string" ? element("span", "muted numbers", detail) : detail;
  return element("span", "file-words", element("span", "file-name clip", name), small);
}

function remover(name: string, remove: () => void): HTMLButtonElement {
  const button = element("button", "button button-quiet button-icon button-small", icon("x", "icon-s"));
  button.type = "button";
  button.setAttribute("aria-label", t("remove", { name }));
  button.addEventListener("click", remove);
  return button;
}

function size(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte"] as const;
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) {
    bytes /= 1000;
    at += 1;
  }
  const digits = bytes < 10 && at ? 1 : 0;
  const unit = units[at] ?? "byte";
  const options = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(document.documentElement.lang, options).format(bytes);
}
