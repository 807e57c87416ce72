// The rich-text editor of the composer: Squire, let in only what a mail of ours may hold.
import Squire from "squire-rte";

import { byId } from "./dom";

const ALLOWED = new Set([
  "A", "B", "BLOCKQUOTE", "BR", "CODE", "DIV", "EM", "H1", "H2", "H3", "HR", "I", "IMG", "LI", "OL", "P", "PRE", "S",
  "SPAN", "STRONG", "SUB", "SUP", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "U", "UL",
]); // prettier-ignore
const DROPPED = new Set(["SCRIPT", "STYLE", "TEMPLATE", "TITLE", "META", "LINK", "HEAD", "IFRAME", "OBJECT", "SVG", "MATH"]);
const LINK = /^(https?:|mailto:|tel:)/i;
const OWN_PICTURE = /^\/files\//;

/** What was pasted or loaded, in an inert document, reduced to the list above. The server does the same once more. */
export function clean(html: string): DocumentFragment {
  const source = new DOMParser().parseFromString(html, "text/html");
  const result = document.createDocumentFragment();
  copyChildren(source.body, result);
  return result;
}

function copyChildren(from: Node, to: Node): void {
  for (const node of from.childNodes) {
    if (node instanceof Text || node.nodeType === Node.TEXT_NODE) {
      to.appendChild(document.createTextNode(node.nodeValue ?? ""));
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      copyElement(node as Element, to);
    }
  }
}

function copyElement(from: Element, to: Node): void {
  const name = from.tagName.toUpperCase();
  if (DROPPED.has(name)) return;
  if (!ALLOWED.has(name)) {
    copyChildren(from, to);
    return;
  }
  const made = document.createElement(name);
  const href = from.getAttribute("href") ?? "";
  const source = from.getAttribute("src") ?? "";
  if (name === "A" && LINK.test(href)) made.setAttribute("href", href);
  if (name === "IMG") {
    if (!OWN_PICTURE.test(source)) return; // a picture of another place would tell it who reads this
    made.setAttribute("src", source);
    made.setAttribute("alt", from.getAttribute("alt") ?? "");
  }
  copyChildren(from, made);
  to.appendChild(made);
}

export type Format = "bold" | "italic" | "list" | "numbers" | "quote" | "clear";

export class Editor {
  private readonly squire: Squire;

  constructor(
    private readonly root: HTMLElement,
    changed: () => void,
  ) {
    this.squire = new Squire(root, {
      blockTag: "DIV",
      sanitizeToDOMFragment: clean,
      addLinks: true,
    });
    this.squire.addEventListener("input", () => {
      this.showEmptiness();
      changed();
    });
    this.squire.addEventListener("pathChange", () => this.showFormats());
    this.showEmptiness();
  }

  destroy(): void {
    this.squire.destroy();
  }

  get html(): string {
    return this.isEmpty ? "" : this.squire.getHTML();
  }

  set html(html: string) {
    this.squire.setHTML(html);
    this.showEmptiness();
  }

  get isEmpty(): boolean {
    return !this.root.textContent?.trim() && !this.root.querySelector("img, hr");
  }

  focus(atEnd = false): void {
    this.squire.focus();
    if (atEnd) this.squire.moveCursorToEnd();
    else this.squire.moveCursorToStart();
  }

  resume(): void {
    this.squire.focus();
  }

  insertPicture(url: string, name: string): void {
    this.squire.insertImage(url, { alt: name });
    this.showEmptiness();
  }

  link(url: string): void {
    if (url) this.squire.makeLink(LINK.test(url) ? url : `https://${url}`);
    else this.squire.removeLink();
  }

  format(what: Format): void {
    const { squire } = this;
    if (what === "bold") squire.hasFormat("B") ? squire.removeBold() : squire.bold();
    else if (what === "italic") squire.hasFormat("I") ? squire.removeItalic() : squire.italic();
    else if (what === "list") squire.hasFormat("UL") ? squire.removeList() : squire.makeUnorderedList();
    else if (what === "numbers") squire.hasFormat("OL") ? squire.removeList() : squire.makeOrderedList();
    else if (what === "quote") squire.hasFormat("BLOCKQUOTE") ? squire.decreaseQuoteLevel() : squire.increaseQuoteLevel();
    else squire.removeAllFormatting();
  }

  private showEmptiness(): void {
    this.root.classList.toggle("is-empty", this.isEmpty && !this.root.querySelector("li, blockquote"));
  }

  private showFormats(): void {
    const tags = { bold: "B", italic: "I", list: "UL", numbers: "OL", quote: "BLOCKQUOTE", link: "A" };
    for (const [what, tag] of Object.entries(tags)) {
      const button = byId("composer-format")?.querySelector(`[data-format=${what}]`);
      button?.setAttribute("aria-pressed", String(this.squire.hasFormat(tag)));
    }
  }
}
