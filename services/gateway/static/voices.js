// The list of remembered voices.

import { request } from "./api.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** Fills `list` and shows its `section` when there are any; `onDelete(name)` says whether it was deleted. */
export async function fillVoices(section, list, onDelete) {
  const { voices = [] } = await request("GET", "/api/voices");
  section.hidden = !voices.length;
  list.replaceChildren(
    ...voices.map((voice) => {
      const item = document.createElement("li");
      const words = document.createElement("p");
      const name = document.createElement("b");
      name.textContent = voice.name;
      const about = document.createElement("small");
      about.textContent = `Consent: ${voice.consent_by} · ${when.format(Number(voice.consent_unix_ms ?? 0))}`;
      words.append(name, about);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "icon";
      remove.textContent = "×";
      remove.title = "Delete";
      remove.setAttribute("aria-label", `Delete the voice of ${voice.name}`);
      remove.addEventListener("click", async () => {
        if (!(await onDelete(voice.name))) return;
        item.remove();
        section.hidden = !list.children.length;
      });
      item.append(words, remove);
      return item;
    }),
  );
}

export const deleteVoice = (name) => request("DELETE", `/api/voices/${encodeURIComponent(name)}`);

/** Remembers how a speaker of a session sounds. Throws ApiError; its status is 409 when the name is taken. */
export const rememberVoice = (session_id, speaker, name, replace) =>
  request("POST", "/api/voices", { session_id, speaker, name, consent_by: name, replace });
