// Ctrl-K: everything that can be done and every place that can be gone to, found by typing.
import { carryOutChoice, chooseAssignee, chooseLabel, chooseSnooze, setStatus } from "./actions";
import { write } from "./composer";
import { all, find } from "./dom";
import { go } from "./inbox";
import { copy } from "./menu";
import { beginNew } from "./new";
import { type Choice, pick } from "./picker";
import { here, placeOf } from "./place";
import { head, openId } from "./thread";
import { t } from "./words";

interface Command extends Choice {
  run: () => void;
}

export function showPalette(): void {
  const commands = [...conversationCommands(), ...viewCommands(), ...pageCommands()];
  pick({
    title: t("find_action"),
    choices: commands,
    onPick: (choice) => commands.find((command) => command.id === choice.id)?.run(),
  });
}

function conversationCommands(): Command[] {
  const id = openId();
  const status = head()?.dataset["status"];
  if (!id || !find("#composer")) return [];
  const group = t("conversation");
  const canForward = find(".composer-tab[data-mode=forward]") !== null;
  const commands: (Command & { fits?: boolean })[] = [
    { id: "do_reply", icon: "arrow-back-up", run: () => write("reply"), key: "r" },
    { id: "do_reply_all", icon: "arrow-back-up-double", run: () => write("reply_all"), fits: canForward },
    { id: "do_forward", icon: "arrow-forward-up", run: () => write("forward"), fits: canForward },
    { id: "do_note", icon: "note", run: () => write("note"), key: "n" },
    { id: "assign_to", icon: "user", run: () => chooseAssignee(id), key: "a" },
    { id: "label", icon: "tag", run: () => chooseLabel(id), key: "l" },
    { id: "snooze", icon: "clock", run: () => chooseSnooze(id), key: "s" },
    { id: "do_resolve", icon: "check", run: () => void setStatus(id, "resolved"), key: "e", fits: status !== "resolved" },
    { id: "do_reopen", icon: "inbox", run: () => void setStatus(id, "open"), fits: status !== "open" },
    { id: "do_pending", icon: "hourglass", run: () => void setStatus(id, "pending"), fits: status !== "pending" },
    { id: "do_spam", icon: "alert-octagon", run: () => void setStatus(id, "spam"), fits: status !== "spam" },
    { id: "do_unread", icon: "mail", run: () => carryOutChoice(id, "unread"), key: "u" },
    { id: "priority_urgent", icon: "chevrons-up", run: () => carryOutChoice(id, "priority:urgent") },
    { id: "priority_high", icon: "chevron-up", run: () => carryOutChoice(id, "priority:high") },
    { id: "priority_normal", icon: "minus", run: () => carryOutChoice(id, "priority:normal") },
    { id: "do_copy_link", icon: "link", run: () => void copy(new URL(`/c/${id}`, location.href).href) },
  ].map((command) => ({ ...command, label: t(command.id), group }));
  return commands.filter((command) => command.fits !== false);
}

function viewCommands(): Command[] {
  return all<HTMLAnchorElement>(".view-link").map((link) => ({
    id: link.href,
    label: link.dataset["label"] ?? "",
    icon: "list",
    group: t("view"),
    run: () => {
      const to = placeOf(new URL(link.href));
      if (to) void go({ ...to, conversation: here().conversation });
    },
  }));
}

function pageCommands(): Command[] {
  const begin = { id: "do_new", label: t("do_new"), icon: "message-plus", group: t("go_to"), key: "c", run: beginNew };
  const pages = all<HTMLAnchorElement>(".rail > a[data-tip], #me-menu a, .settings-menu a").map((link) => ({
    id: link.href,
    label: (link.dataset["tip"] ?? link.textContent ?? "").trim(),
    icon: "arrow-right",
    group: t("go_to"),
    run: () => location.assign(link.href),
  }));
  return find("[data-new]") ? [begin, ...pages] : pages;
}
