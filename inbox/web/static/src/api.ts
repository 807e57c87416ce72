// Requests to our own server. Whatever goes wrong arrives as a `Problem` with words for the person.
import { t } from "./words";

interface ProblemBody {
  code?: string;
  message?: string;
  fields?: Record<string, string>;
}

export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: Record<string, string> = {},
  ) {
    super(message);
  }

  /** What to tell the person: the words beside a field say more than the heading. */
  get words(): string {
    const details = Object.values(this.fields);
    return details.length ? details.join(" ") : this.message;
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

export function csrf(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf"]')?.content ?? "";
}

async function request(method: string, path: string, options: RequestInit): Promise<Response> {
  let response: Response;
  try {
    const headers = { Accept: "application/json", "X-CSRF-Token": csrf(), ...options.headers };
    response = await fetch(path, { method, cache: "no-store", ...options, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, t("offline"));
  }
  if (response.ok) return response;
  if (response.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw problemOf(response.status, await response.text());
}

export function problemOf(status: number, text: string): Problem {
  try {
    const body = JSON.parse(text) as ProblemBody;
    return new Problem(status, body.message || t("failed"), body.fields ?? {});
  } catch {
    return new Problem(status, t("failed"));
  }
}

/** Send JSON, get JSON (or nothing). */
export async function call<T = void>(method: string, path: string, body?: unknown): Promise<T> {
  const options: RequestInit =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await request(method, path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A part of a page; null where there is nothing (any more). */
export async function fragment(path: string, signal?: AbortSignal): Promise<string | null> {
  const response = await request("GET", path, signal ? { signal } : {});
  return response.status === 204 ? null : response.text();
}

/** Bring something up to date for which nobody waits. What fails is read again with the next change or connection. */
export function inBackground(work: Promise<unknown> | undefined): void {
  work?.catch((error: unknown) => {
    const isExpected = error instanceof Problem || (error instanceof DOMException && error.name === "AbortError");
    if (!isExpected) throw error;
  });
}
