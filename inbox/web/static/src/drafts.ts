// What is being written: kept on the server soon after each change, and in this browser until the server has it.
import { call, Problem } from "./api";
import { me } from "./place";

export interface DraftFile {
  id: string;
  name: string;
  size: number;
  media_type: string;
  content_id: string;
  inline: boolean;
  url: string;
}

export interface Writing {
  mode: string;
  to: string;
  cc: string;
  bcc: string;
  subject: string;
  html: string;
}

export interface Draft extends Writing {
  conversation_id: string;
  files: DraftFile[];
  saved_at: string;
}

interface Kept extends Writing {
  at: number;
}

export type SaveState = "saved" | "saving" | "kept here" | "";

const PAUSE = 800;
const RETRY = 5_000;
const key = (conversation: string) => `draft:${me()}:${conversation}`;

export function keepHere(conversation: string, writing: Writing): void {
  const kept: Kept = { ...writing, at: Date.now() };
  try {
    localStorage.setItem(key(conversation), JSON.stringify(kept));
  } catch {
    // the browser's store is full or closed: the server's copy remains
  }
}

export function forgetHere(conversation: string): void {
  localStorage.removeItem(key(conversation));
}

/** The newer of the server's draft and what this browser kept because the server did not have it yet. */
export function newest(conversation: string, draft: Draft | null): { writing: Writing | null; isUnsaved: boolean } {
  const text = localStorage.getItem(key(conversation));
  const kept = text ? (JSON.parse(text) as Kept) : null;
  if (kept && (!draft || kept.at > Date.parse(draft.saved_at))) return { writing: kept, isUnsaved: true };
  if (kept) forgetHere(conversation);
  return { writing: draft, isUnsaved: false };
}

/** Saves one conversation's draft, the latest text only, one request at a time. */
export class Saver {
  private timer = 0;
  private running: Promise<void> | null = null;
  private pending: Writing | null = null;
  private stopped = false;

  constructor(
    private readonly conversation: string,
    private readonly show: (state: SaveState) => void,
  ) {}

  change(writing: Writing): void {
    keepHere(this.conversation, writing);
    this.pending = writing;
    this.stopped = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), PAUSE);
  }

  /** Save now what is not saved; resolves also where that failed (it is tried again). */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    while (this.running) await this.running;
    const writing = this.pending;
    if (!writing || this.stopped) return;
    this.pending = null;
    this.running = this.save(writing).finally(() => (this.running = null));
    await this.running;
  }

  /** Nothing is saved any more: it is sent or thrown away. Resolves when no request is under way. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.stopped = true;
    this.pending = null;
    while (this.running) await this.running;
  }

  private async save(writing: Writing): Promise<void> {
    this.show("saving");
    try {
      await call<Draft>("PUT", `/conversations/${this.conversation}/draft`, writing);
      if (this.pending || this.stopped) return;
      forgetHere(this.conversation);
      this.show("saved");
    } catch (error) {
      this.show("kept here");
      this.pending ??= writing;
      const again = error instanceof Problem && (error.isOffline || error.status >= 500);
      if (again && !this.stopped) this.timer = setTimeout(() => void this.flush(), RETRY);
    }
  }
}
