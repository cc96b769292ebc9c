// The list of kept meetings.

import { request, sessionPath } from "./api.js";
import { clock } from "./model.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Fills `list`; `onDelete(summary)` is asked first and says whether it was deleted. */
export async function fillMeetings(list, currentId, onDelete) {
  const { sessions = [] } = await request("GET", "/api/sessions");
  if (!sessions.length) {
    const item = document.createElement("li");
    item.className = "empty";
    item.textContent = "No meeting was kept yet.";
    list.replaceChildren(item);
    return;
  }
  list.replaceChildren(
    ...sessions.map((summary) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `#${encodeURIComponent(summary.session_id)}`;
      if (summary.session_id === currentId) link.setAttribute("aria-current", "page");
      const title = document.createElement("b");
      title.textContent = summary.title || "Meeting without a title";
      const about = document.createElement("small");
      const facts = [when.format(Number(summary.started_unix_ms ?? 0)), clock(Number(summary.end_sample ?? 0))];
      about.textContent = facts.join(" · ");
      link.append(title, about);
      if (summary.is_live) {
        const live = document.createElement("span");
        live.className = "live";
        live.textContent = "live";
        link.append(live);
      }
      item.append(link);
      if (!summary.is_live) {
        const remove = document.createElement("button");
        remove.type = "button";
        remove.className = "icon";
        remove.textContent = "×";
        remove.title = "Delete";
        remove.setAttribute("aria-label", `Delete ${title.textContent}, ${facts[0]}`);
        remove.addEventListener("click", async () => {
          if (await onDelete(summary)) item.remove();
        });
        item.append(remove);
      }
      return item;
    }),
  );
}

export const deleteMeeting = (id) => request("DELETE", sessionPath(id));
