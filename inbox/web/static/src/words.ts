// The page's words in the person's language; templates hand them over as JSON.

const words: Record<string, string | string[]> = {};
for (const script of document.querySelectorAll("script[data-words]")) {
  Object.assign(words, JSON.parse(script.textContent ?? "{}"));
}

export function t(key: string, values: Record<string, string> = {}): string {
  const found = words[key];
  const text = typeof found === "string" ? found : key;
  return text.replace(/%\((\w+)\)s/g, (_, name: string) => values[name] ?? "");
}

/** Words that depend on a number, for which the page has the first twenty forms. */
export function counted(key: string, count: number): string {
  const forms = words[key];
  if (!Array.isArray(forms)) return String(count);
  return forms[count - 1] ?? (forms.at(-1) ?? "").replace(String(forms.length), String(count));
}
