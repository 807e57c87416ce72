// Where one writes: the rich editor, or a plain text box where the channel carries plain text alone. What stands in one
// goes over into the other.
import { Editor, type Format } from "./editor";

const escaped = (text: string): string => {
  const box = document.createElement("div");
  box.textContent = text;
  return box.innerHTML;
};

/** Lines as an editor has them. */
const toLines = (text: string): string => text.split("\n").map((line) => `<div>${escaped(line) || "<br>"}</div>`).join("");

function toText(html: string): string {
  const lines = new DOMParser().parseFromString(html, "text/html").body;
  const pre = lines.children.length === 1 && lines.firstElementChild?.tagName === "PRE";
  if (pre) return lines.textContent ?? "";
  let text = "";
  const walk = (node: Node): void => {
    if (node instanceof Text) text += (node.data ?? "").replace(/[ \t\r\n]+/g, " ");
    else if (node instanceof HTMLBRElement) text += "\n";
    else {
      const isBlock = node instanceof HTMLElement && /^(DIV|P|LI|UL|OL|BLOCKQUOTE|H[1-6]|PRE|TR)$/.test(node.tagName);
      if (isBlock && text && !text.endsWith("\n")) text += "\n";
      if (node instanceof HTMLElement && node.tagName === "LI") text += "- ";
      node.childNodes.forEach(walk);
      if (isBlock && !text.endsWith("\n")) text += "\n";
    }
  };
  lines.childNodes.forEach(walk);
  return text.replace(/\u00a0/g, " ").replace(/\n+$/, "");
}

export class Pad {
  private readonly editor: Editor;
  private isPlain = false;
  private known = "";

  constructor(
    private readonly rich: HTMLElement,
    private readonly plain: HTMLTextAreaElement,
    changed: () => void,
  ) {
    this.editor = new Editor(rich, () => {
      const { html } = this.editor;
      if (this.isPlain || html === this.known) return; // the editor also tells of attributes of its box
      this.known = html;
      changed();
    });
    plain.addEventListener("input", () => {
      this.grow();
      changed();
    });
  }

  /** Write plainly or richly from now on. */
  use(isPlain: boolean): void {
    if (isPlain === this.isPlain) return;
    const had = document.activeElement === this.box;
    const { html, text } = this;
    this.isPlain = isPlain;
    this.rich.hidden = isPlain;
    this.plain.hidden = !isPlain;
    if (isPlain) this.plain.value = toText(html);
    else this.editor.html = text ? toLines(text) : "";
    this.grow();
    if (had) this.focus(true);
  }

  get box(): HTMLElement {
    return this.isPlain ? this.plain : this.rich;
  }

  get isEmpty(): boolean {
    return this.isPlain ? !this.plain.value.trim() : this.editor.isEmpty;
  }

  get text(): string {
    return this.isPlain ? this.plain.value : this.rich.innerText;
  }

  get html(): string {
    if (!this.isPlain) return this.editor.html;
    return this.isEmpty ? "" : `<pre>${escaped(this.plain.value)}</pre>`;
  }

  set html(html: string) {
    if (this.isPlain) this.plain.value = toText(html);
    else this.editor.html = html;
    this.grow();
  }

  set hint(words: string) {
    this.rich.setAttribute("aria-placeholder", words);
    this.plain.placeholder = words;
  }

  focus(atEnd = false): void {
    if (!this.isPlain) return this.editor.focus(atEnd);
    this.plain.focus();
    const at = atEnd ? this.plain.value.length : 0;
    this.plain.setSelectionRange(at, at);
  }

  resume(): void {
    if (this.isPlain) this.plain.focus();
    else this.editor.resume();
  }

  /** Show a character where it stands first. */
  select(character: string): void {
    if (!this.isPlain) return;
    const at = this.plain.value.indexOf(character);
    if (at < 0) return;
    this.plain.focus();
    this.plain.setSelectionRange(at, at + character.length);
  }

  insertPicture(url: string, name: string): void {
    this.editor.insertPicture(url, name);
  }

  link(url: string): void {
    this.editor.link(url);
  }

  format(what: Format): void {
    this.editor.format(what);
  }

  destroy(): void {
    this.editor.destroy();
  }

  private grow(): void {
    if (!this.isPlain) return;
    this.plain.style.height = "auto";
    this.plain.style.height = `${this.plain.scrollHeight}px`;
  }
}
