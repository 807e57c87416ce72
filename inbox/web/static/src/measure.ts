// The line below a text that says how long it is in the channel's own units, and what that means.
import { element } from "./dom";
import { count } from "./segments";
import { counted, t } from "./words";

export interface Limits {
  units: string;
  max: number;
  splits: boolean;
  price: number;
  currency: string;
}

export function limitsOf(data: DOMStringMap): Limits {
  return {
    units: data["units"] ?? "characters",
    max: Number(data["max"] ?? 0),
    splits: data["splits"] === "yes",
    price: Number(data["price"] ?? 0),
    currency: data["currency"] ?? "",
  };
}

const QUIET = 0.8;
const SHOWN = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** What leaves: the server drops the space around a text and at the ends of its lines. */
export function asSent(text: string): string {
  return text.split(/\r?\n/).map((line) => line.trimEnd()).join("\n").trim();
}

/** Show the length; whether the text may be sent. `select` shows a character where it stands. */
export function showLength(line: HTMLElement, typed: string, limits: Limits, select: (character: string) => void): boolean {
  const text = asSent(typed);
  const well = limits.units === "segments" ? showSegments(line, text, limits, select) : showCharacters(line, text, limits);
  line.classList.toggle("is-alarm", !well);
  return well;
}

function showSegments(line: HTMLElement, text: string, limits: Limits, select: (character: string) => void): boolean {
  const { encoding, units, segments, left, forcedBy } = count(text);
  const parts = [encoding === "gsm7" ? "GSM-7" : "UCS-2", `${units}/${units + left}`, counted("segments", segments)];
  if (limits.price && segments) {
    const language = document.documentElement.lang || "en";
    const sum = new Intl.NumberFormat(language, { maximumSignificantDigits: 2 }).format(limits.price * segments);
    parts.push(t("about_price", { price: `${sum} ${limits.currency}` }));
  }
  line.hidden = !segments;
  line.replaceChildren(parts.join(" · "));
  if (!forcedBy) return true;
  const name = nameOf(forcedBy);
  const button = element("button", "link-button", name);
  button.type = "button";
  button.setAttribute("aria-label", t("select_character", { character: name }));
  button.addEventListener("click", () => select(forcedBy));
  const [before = "", after = ""] = t("forced_by", { character: "\u0000" }).split("\u0000");
  line.append(" · ", before, button, after);
  return true;
}

function nameOf(character: string): string {
  const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  return SHOWN.test(character) ? `“${character}” (${code})` : code;
}

function showCharacters(line: HTMLElement, text: string, { units, max, splits }: Limits): boolean {
  const length = units === "utf16" ? text.length : [...text].length;
  line.hidden = !max || length < max * QUIET;
  if (line.hidden) return true;
  const figures = `${length}/${max}`;
  if (length <= max) line.replaceChildren(figures);
  else if (splits) line.replaceChildren(`${figures} · ${counted("leaves_in", Math.ceil(length / max))}`);
  else line.replaceChildren(`${figures} · ${t("too_long", { count: String(length - max) })}`);
  return length <= max || splits;
}
