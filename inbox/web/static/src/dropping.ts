// Files that are pasted or dropped: a pasted picture goes into the text, everything else beside it.

interface Taker {
  attach: (files: Iterable<File>) => void;
  insert: (picture: File) => void;
}

export function takeFiles(form: HTMLElement, text: HTMLElement, taker: Taker): void {
  text.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.clipboardData?.types.includes("text/html")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const file of files) {
      if (file.type.startsWith("image/")) taker.insert(file);
      else taker.attach([file]);
    }
  }, true);
  form.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("is-dropping");
  });
  form.addEventListener("dragleave", (event) => {
    if (!form.contains(event.relatedTarget as Node | null)) form.classList.remove("is-dropping");
  });
  form.addEventListener("drop", (event) => {
    form.classList.remove("is-dropping");
    const files = event.dataTransfer?.files;
    if (!files?.length) return;
    event.preventDefault();
    event.stopPropagation();
    taker.attach(files);
  }, true);
}
