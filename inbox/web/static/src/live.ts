// What happens elsewhere, as it happens: the server's event stream (text/event-stream), read by one tab for all of them.
//
// Browsers allow six connections to a server, so the tabs of a browser choose one that reads and tells the others. A
// stream that is silent for longer than the server's heartbeat is dead, also where the network does not say so (sleep).
import { byId, wait } from "./dom";
import { toast } from "./toast";
import { t } from "./words";

export interface Change {
  type: string;
  conversation_id: string;
  inbox_id: string;
  message_id: string;
  customer_id: string;
  actor: string;
  at: string;
  data: Record<string, unknown>;
}

type Told =
  | { kind: "change"; id: string; change: Change }
  | { kind: "resync"; id: string }
  | { kind: "state"; connected: boolean }
  | { kind: "here"; id: string; connected: boolean }
  | { kind: "version"; version: string }
  | { kind: "ask" };

const SILENCE = 40_000;
const GRACE = 1_500;
const PAUSES = [300, 1_000, 2_000, 4_000, 8_000];

const agent = document.body.dataset["agent"] ?? "";
const channel = new BroadcastChannel(`live-${agent}`);
const changeListeners: ((change: Change) => void)[] = [];
const resyncListeners: (() => void)[] = [];
let lastId = document.body.dataset["liveAfter"] ?? "";
let resumed = false;
let version = "";
let isLeader = false;
let connected = true;
let reader: AbortController | null = null;
let lastHeard = Date.now();
let grace = 0;

export function onChange(listener: (change: Change) => void): void {
  changeListeners.push(listener);
}

/** Called when what is shown may be old in any way: read all of it again. */
export function onResync(listener: () => void): void {
  resyncListeners.push(listener);
}

export function startLive(): void {
  if (!agent) return;
  channel.addEventListener("message", (event) => hear(event.data as Told));
  addEventListener("online", reconnectNow);
  addEventListener("offline", reconnectNow);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - lastHeard > SILENCE / 2) reconnectNow();
  });
  addEventListener("pagehide", () => reader?.abort());
  if ("locks" in navigator) {
    channel.postMessage({ kind: "ask" } satisfies Told);
    void navigator.locks.request(`live-${agent}`, lead);
  } else {
    void lead();
  }
}

function tell(told: Told): void {
  channel.postMessage(told);
  take(told);
}

function hear(told: Told): void {
  if (told.kind !== "ask") {
    take(told);
  } else if (isLeader) {
    channel.postMessage({ kind: "here", id: lastId, connected } satisfies Told);
  }
}

function take(told: Told): void {
  switch (told.kind) {
    case "change":
      lastId = told.id || lastId;
      for (const listener of changeListeners) listener(told.change);
      break;
    case "resync":
      lastId = told.id || lastId;
      for (const listener of resyncListeners) listener();
      break;
    case "state":
      showState(told.connected);
      break;
    case "here": // the tab that reads, to one that has just been opened: what happened in between, it does not know
      showState(told.connected);
      if (!isLeader && told.id !== lastId) take({ kind: "resync", id: told.id });
      break;
    case "version":
      checkVersion(told.version);
      break;
    case "ask":
      break;
  }
}

function showState(now: boolean): void {
  connected = now;
  clearTimeout(grace);
  const bar = byId("connection");
  if (!bar) return;
  if (now) bar.hidden = true;
  else grace = setTimeout(() => (bar.hidden = false), GRACE);
}

function checkVersion(now: string): void {
  if (version && version !== now) {
    toast({
      text: t("new_version"),
      seconds: 3600,
      action: { label: t("reload"), run: () => location.reload() },
    });
  }
  version = now;
}

function reconnectNow(): void {
  reader?.abort();
}

async function lead(): Promise<void> {
  isLeader = true;
  for (let failures = 0; ; failures += 1) {
    const before = Date.now();
    const wasConnected = connected;
    try {
      await follow(() => {
        tell({ kind: "state", connected: true });
        if (!wasConnected) tell({ kind: "resync", id: "" });
        failures = 0;
      });
    } catch (error) {
      if (error instanceof SignedOut) {
        location.reload();
        return;
      }
    }
    tell({ kind: "state", connected: false });
    const pause = PAUSES[Math.min(failures, PAUSES.length - 1)] ?? 1_000;
    if (Date.now() - before < pause) await untilOnline(pause * (0.75 + Math.random() / 2));
  }
}

class SignedOut extends Error {}

async function untilOnline(pause: number): Promise<void> {
  await Promise.race([wait(pause), new Promise((done) => addEventListener("online", done, { once: true }))]);
}

async function follow(opened: () => void): Promise<void> {
  const own = (reader = new AbortController());
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (resumed && lastId) headers["Last-Event-ID"] = lastId;
  const address = resumed || !lastId ? "/live" : `/live?after=${encodeURIComponent(lastId)}`;
  let watchdog = setTimeout(() => own.abort(), SILENCE);
  try {
    const response = await fetch(address, { headers, cache: "no-store", signal: own.signal });
    if (response.status === 401) throw new SignedOut();
    if (!response.ok || !response.body) throw new Error(String(response.status));
    opened();
    const decoder = new TextDecoder();
    const stream = response.body.getReader();
    let text = "";
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return;
      lastHeard = Date.now();
      clearTimeout(watchdog);
      watchdog = setTimeout(() => own.abort(), SILENCE);
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) dispatch(block);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function dispatch(block: string): void {
  const fields: Record<string, string> = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  const id = fields["id"] ?? "";
  if (id) {
    lastId = id;
    resumed = true;
  }
  const data = fields["data"] ?? "{}";
  if (fields["event"] === "change") tell({ kind: "change", id, change: JSON.parse(data) as Change });
  else if (fields["event"] === "reload") tell({ kind: "resync", id });
  else if (fields["event"] === "hello") tell({ kind: "version", version: (JSON.parse(data) as { version: string }).version });
}
