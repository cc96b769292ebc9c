// The page: which meeting is shown, what is recorded, and who is told of what.

import { follow, GoneError, request, sessionPath } from "./api.js";
import { Capture, captureTrouble } from "./capture.js";
import { LagMeter } from "./lag.js";
import { deleteMeeting, fillMeetings } from "./meetings.js";
import { fillMinutes } from "./minutes.js";
import { clock, join, Meeting } from "./model.js";
import { clearNotices, notice, noticeMissing, noticeService } from "./notices.js";
import { QuestionsView } from "./questions.js";
import { ScreenView } from "./screen.js";
import { TranscriptView } from "./transcript.js";
import { deleteVoice, fillVoices, rememberVoice } from "./voices.js";

const LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "fi", "cs", "tr", "uk", "ru", "ar", "hi", "ja", "ko", "zh"];
const STATUS_MS = 5000;
const STORED = "sensorium";

const $ = (id) => document.getElementById(id);
// For tests and kiosks: ?tab=self offers this very tab first.
const preferThisTab = new URLSearchParams(location.search).get("tab") === "self";

const capture = new Capture();
const lag = new LagMeter();
const transcript = new TranscriptView(renameSpeaker, (sample) => screenView.showAt(sample), (place) => screenView.jump(place), undo);
const screenView = new ScreenView(seek);
const questions = new QuestionsView(ask, showEvidence, () => $("open-minutes").click());

let meeting = new Meeting();
let sessionId = "";
let stopFollowing = null;
let isConnected = false;
let isGatewayGone = false;
let levelTimer = 0;

// -- which meeting ------------------------------------------------------------------------------

function hashId() {
  const hash = location.hash.slice(1);
  try {
    return decodeURIComponent(hash);
  } catch {
    // Nobody's id, which the gateway then says.
    return hash;
  }
}

async function route() {
  const id = hashId();
  if (id === sessionId && id) return;
  if (capture.isRecording && id !== capture.sessionId) {
    capture.leave();
    forget();
  }
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  clearNotices();
  if (id) await openMeeting(id);
  else showStart();
}

function showStart() {
  stopFollowing?.();
  stopFollowing = null;
  sessionId = "";
  meeting = new Meeting();
  $("start").hidden = false;
  $("meeting").hidden = true;
  document.title = "Sensorium";
  showState();
  refreshRecent();
  listMicrophones();
}

const refreshRecent = () => fillMeetings($("recent"), sessionId, confirmDelete).catch(reportGone);

async function openMeeting(id) {
  show(id, "");
  try {
    const summary = await request("GET", sessionPath(id));
    if (id !== sessionId) return;
    setTitle(summary.title ?? "");
  } catch (error) {
    if (!(error instanceof GoneError)) {
      // Out of the address, so that a reload does not come back to it.
      history.replaceState(null, "", location.pathname + location.search);
      showStart();
      notice("meeting", error.status === 404 ? "This meeting is not kept here. It may have been deleted." : error.message);
      return;
    }
    reportGone(error);
  }
  listen();
  await resume();
}

/** Empties the meeting view for a session. */
function show(id, title) {
  stopFollowing?.();
  stopFollowing = null;
  sessionId = id;
  meeting = new Meeting();
  lag.reset();
  transcript.reset(meeting);
  screenView.reset(meeting, id);
  questions.reset(meeting);
  drawSpeakers();
  setTitle(title);
  $("start").hidden = true;
  $("meeting").hidden = false;
  for (const link of document.querySelectorAll("[data-format]")) link.href = `${sessionPath(id)}/export?format=${link.dataset.format}`;
  $("minutes-md").href = `${sessionPath(id)}/minutes?format=md`;
  showState();
}

function setTitle(title) {
  $("title").textContent = title || "Meeting";
  document.title = `${title || "Meeting"} · Sensorium`;
}

function listen() {
  stopFollowing?.();
  stopFollowing = follow(sessionId, meeting.lastSeq, take, (state) => {
    setGone(state === "gone");
    if (state === "missing") notice("meeting", "This meeting was deleted.");
  });
}

// -- what happens in it -------------------------------------------------------------------------

function take(event) {
  const change = meeting.apply(event);
  switch (change.kind) {
    case "partial":
      lag.wrote(change.end);
      transcript.draw();
      break;
    case "utterance":
      transcript.update(change.utterance.id);
      drawSpeakers();
      if (change.isNew) announce(change.utterance);
      break;
    case "speakers":
      drawSpeakers();
      transcript.update();
      questions.updateAll();
      break;
    case "screen":
      screenView.update();
      break;
    case "answer":
      questions.update(change.id);
      break;
    case "service":
      noticeService(change.name, change.isAvailable, change.message);
      break;
    case "speech":
      $("state").classList.toggle("hears", change.hasBegun);
      break;
    case "progress":
      lag.heard(meeting.received);
      showTime();
      break;
    case "ended":
      if (capture.isRecording) capture.leave();
      $("state").classList.remove("hears");
      forget();
      lag.reset();
      screenView.update();
      transcript.draw();
      noticeMissing(meeting.missing);
      showState();
      break;
  }
}

function announce(utterance) {
  // Only what is said now: a reader of an old meeting is not read all of it.
  if (capture.isRecording) $("spoken").textContent = `${meeting.nameOf(utterance.speaker)}: ${join(utterance.words, utterance.language)}`;
}

function showEvidence(evidence) {
  if (evidence.kind === "screen") screenView.jump(evidence);
  else transcript.jump(evidence.source, evidence.start, evidence.end);
}

async function ask(text, escalation = "") {
  const id = crypto.randomUUID();
  const earlier = questions.earlier();
  questions.expect(id, text);
  try {
    await request("POST", `${sessionPath(sessionId)}/ask`, { question_id: id, text, escalation, earlier });
  } catch (error) {
    questions.fail(id, error.message);
  }
}

async function seek(queries) {
  try {
    await request("PUT", `${sessionPath(sessionId)}/queries`, { queries });
    notice("seek", "");
  } catch (error) {
    notice("seek", error.message);
  }
}

async function undo(utterance, word) {
  try {
    await request("POST", `${sessionPath(sessionId)}/undo`, { utterance_id: utterance, word });
  } catch (error) {
    notice("undo", error.message);
  }
}

/** How a name was found, if nobody gave it. */
const FOUND = { voice: "recognised by voice", introduced: "introduced by that name", addressed: "answers to that name" };

function drawSpeakers() {
  const people = [...meeting.speakers.values()].filter((speaker) => meeting.personOf(speaker.id) === speaker.id);
  const known = people.sort((a, b) => a.index - b.index);
  $("speakers").replaceChildren(
    ...known.map((speaker) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "chip";
      button.dataset.colour = speaker.index % 8;
      button.textContent = meeting.nameOf(speaker.id);
      const how = speaker.isRecognised && speaker.name ? `${FOUND[speaker.how] ?? FOUND.voice}, ` : "";
      button.title = how ? `${how[0].toUpperCase()}${how.slice(1, -2)}. Rename` : "Rename";
      button.setAttribute("aria-label", `${button.textContent}, ${how}rename`);
      button.addEventListener("click", () => renameSpeaker(speaker.id));
      item.append(button);
      return item;
    }),
  );
}

async function renameSpeaker(id) {
  const session = sessionId;
  const input = $("rename-name");
  const known = meeting.speakers.get(id);
  const ids = meeting.idsOf(id);
  input.value = known?.name ?? "";
  input.placeholder = meeting.nameOf(id);
  $("rename-remember").checked = false;
  const answer = await open($("rename"));
  const name = input.value.trim();
  if (answer !== "save" || !name) return;
  if (name !== known?.name || known.isRecognised) {
    try {
      for (const speaker of ids) await request("POST", `${sessionPath(session)}/names`, { speaker, name });
      notice("rename", "");
    } catch (error) {
      notice("rename", `The name was not kept: ${error.message}`);
      return;
    }
  }
  if ($("rename-remember").checked) await keepVoice(session, ids[0], name);
}

/** Remembers a voice; a name that is taken is asked about. */
async function keepVoice(session, id, name) {
  try {
    await rememberVoice(session, id, name, false);
  } catch (error) {
    if (error.status !== 409) return notice("voice", `The voice was not remembered: ${error.message}`);
    const question = `A voice is remembered as “${name}” already. Replace it with this one?`;
    if (!(await confirm(question, "Replace"))) return;
    try {
      await rememberVoice(session, id, name, true);
    } catch (failure) {
      return notice("voice", `The voice was not remembered: ${failure.message}`);
    }
  }
  notice("voice", `The voice of ${name} is remembered. Meetings lists it, and deletes it.`, { level: "hint" });
}

async function confirmVoice(name) {
  if (!(await confirm(`Forget the voice of “${name}”? Names that were written already stay.`, "Delete"))) return false;
  try {
    await deleteVoice(name);
  } catch (error) {
    notice("voice", `The voice was not deleted: ${error.message}`);
    return false;
  }
  notice("voice", "");
  return true;
}

async function confirm(question, yes) {
  $("confirm-text").textContent = question;
  $("confirm-yes").textContent = yes;
  return (await open($("confirm"))) === "yes";
}

function open(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

async function confirmDelete(summary) {
  const question = `Delete “${summary.title || "Meeting without a title"}” for good? Its words, names and answers cannot be brought back.`;
  if (!(await confirm(question, "Delete"))) return false;
  try {
    await deleteMeeting(summary.session_id);
  } catch (error) {
    notice("delete", `The meeting was not deleted: ${error.message}`);
    return false;
  }
  if (summary.session_id === sessionId) location.assign("/");
  return true;
}

// -- what is recorded ---------------------------------------------------------------------------

async function openSource(what, device = "") {
  try {
    if (what === "screen") await capture.openScreen(preferThisTab);
    else await capture.openMicrophone(device);
    notice(what, "");
    return true;
  } catch (error) {
    notice(what, captureTrouble(error, what));
    return false;
  }
}

async function begin(event) {
  event.preventDefault();
  const wantsScreen = $("use-screen").checked;
  const wantsMicrophone = $("use-mic").checked;
  if (!wantsScreen && !wantsMicrophone) {
    notice("begin", "Choose the microphone, a screen, or both.", { level: "hint" });
    return;
  }
  $("begin").disabled = true;
  clearNotices();
  try {
    // The screen first: browsers ask for a click that is still fresh.
    const opened = [wantsScreen && (await openSource("screen")), wantsMicrophone && (await openSource("microphone", $("mic-device").value))];
    if (!opened.includes(true)) return;
    await capture.connect("", {
      title: $("new-title").value.trim(),
      language: $("language").value,
      phrases: $("phrases").value.split(",").map((phrase) => phrase.trim()).filter(Boolean),
    });
    show(capture.sessionId, $("new-title").value.trim());
    location.hash = encodeURIComponent(sessionId);
    listen();
    $("scroll").focus({ preventScroll: true });
  } catch (error) {
    capture.leave();
    notice("begin", `The meeting could not begin: ${error.message}`);
  } finally {
    $("begin").disabled = false;
  }
}

/** After a reload: goes on with what this tab recorded. */
async function resume() {
  const stored = remembered();
  if (stored?.sessionId !== sessionId || meeting.ended) return;
  capture.peerId = stored.peerId;
  const isAllowed = await navigator.permissions
    ?.query({ name: "microphone" })
    .then((permission) => permission.state === "granted", () => false);
  if (stored.microphone !== null && isAllowed) await openSource("microphone", stored.microphone);
  if (capture.microphone) await goOn();
  if (stored.screen) {
    notice("resume", "The page was reloaded. The browser asks again before it shares the screen.", {
      level: "hint",
      action: { label: "Share the screen again", run: () => toggle("screen") },
    });
  } else if (!capture.microphone) {
    notice("resume", "The page was reloaded and records nothing now. Press Microphone or Screen to go on.", { level: "hint" });
  }
  showState();
}

async function goOn() {
  try {
    await capture.connect(sessionId);
    notice("connection", "");
    return true;
  } catch (error) {
    capture.leave();
    if (error instanceof GoneError) reportGone(error);
    else notice("connection", error.message);
    return false;
  }
}

async function toggle(what) {
  const isOn = what === "screen" ? capture.screen : capture.microphone;
  if (isOn) {
    if (what === "screen") capture.closeScreen();
    else capture.closeMicrophone();
    return;
  }
  if (!(await openSource(what, $("mic-device").value))) return;
  notice("resume", "");
  if (!capture.isRecording) await goOn();
}

async function finish() {
  $("finish").disabled = true;
  notice("finish", "Writing down the last words…", { level: "hint" });
  try {
    capture.closeMicrophone(false);
    capture.closeScreen(false);
    await request("POST", `${sessionPath(sessionId)}/finish`, {});
    notice("finish", "");
  } catch (error) {
    notice("finish", `The meeting could not be finished: ${error.message}`);
  } finally {
    $("finish").disabled = false;
  }
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED));
  } catch {
    return null;
  }
}

function remember() {
  if (!capture.isRecording) return;
  const microphone = capture.microphone ? ($("mic-device").value ?? "") : null;
  sessionStorage.setItem(STORED, JSON.stringify({ sessionId: capture.sessionId, peerId: capture.peerId, microphone, screen: capture.screen !== null }));
}

function forget() {
  sessionStorage.removeItem(STORED);
}

async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const select = $("mic-device");
  const chosen = select.value;
  const named = devices.filter((device) => device.kind === "audioinput" && device.label && device.deviceId !== "default");
  select.replaceChildren(new Option("The usual one", ""), ...named.map((device) => new Option(device.label, device.deviceId)));
  select.value = named.some((device) => device.deviceId === chosen) ? chosen : "";
}

// -- the bar ------------------------------------------------------------------------------------

function showState() {
  const isMeeting = sessionId !== "";
  const isRecording = capture.isRecording && capture.sessionId === sessionId;
  for (const id of ["title", "state", "downloads", "open-minutes"]) $(id).hidden = !isMeeting;
  $("sources").hidden = !isMeeting || meeting.ended;
  const toggles = { "mic-toggle": capture.microphone, "screen-toggle": capture.screen };
  for (const [id, stream] of Object.entries(toggles)) $(id).setAttribute("aria-pressed", String(isRecording && stream !== null));
  $("finish").hidden = !isRecording && remembered()?.sessionId !== sessionId;
  let [state, text] = ["watching", "Watching"];
  if (meeting.ended) [state, text] = ["ended", "Ended"];
  else if (isRecording && !isConnected) [state, text] = ["waiting", "Connecting"];
  else if (isRecording && (capture.microphone || capture.screen)) [state, text] = ["recording", "Recording"];
  else if (isRecording) [state, text] = ["waiting", "Paused"];
  $("state").dataset.state = state;
  $("state").dataset.text = text;
  showTime();
}

function showTime() {
  const text = `${$("state").dataset.text ?? ""} ${meeting.received ? clock(meeting.received) : ""}`.trim();
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

function meterLevel() {
  clearInterval(levelTimer);
  const level = $("mic-level");
  level.style.setProperty("inline-size", "0");
  meterLevel.context?.close();
  meterLevel.context = null;
  if (!capture.microphone) return;
  const context = (meterLevel.context = new AudioContext());
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(capture.microphone).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  levelTimer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    // -60 dB to 0 dB over the whole length.
    const loudness = Math.max(0, Math.min(1, 1 + (10 * Math.log10(power + 1e-9)) / 60));
    level.style.setProperty("inline-size", `${loudness * 100}%`);
  }, 120);
}

// -- what is wrong ------------------------------------------------------------------------------

function reportGone(error) {
  if (error instanceof GoneError) setGone(true);
  else notice("gateway", error.message);
}

function setGone(isGone) {
  isGatewayGone = isGone;
  notice("gateway", isGone ? "The gateway does not answer. If it was stopped, start it with “sensorium up”; this page connects again by itself." : "");
}

async function checkServices() {
  try {
    const { services = [] } = await request("GET", "/api/status");
    if (isGatewayGone) {
      setGone(false);
      if (!sessionId) refreshRecent();
    }
    for (const service of services) noticeService(service.name, service.is_available ?? false, service.message);
  } catch (error) {
    reportGone(error);
  }
}

// -- beginning ----------------------------------------------------------------------------------

const names = new Intl.DisplayNames([navigator.language, "en"], { type: "language" });
const own = LANGUAGES.find((tag) => navigator.language.toLowerCase().startsWith(tag)) ?? "";
$("language").append(new Option("Find out by itself", ""), ...LANGUAGES.map((tag) => new Option(names.of(tag), tag)));
$("language").value = own;

// Not a submit button: Enter in the field has to save.
$("rename-cancel").addEventListener("click", () => $("rename").close());
$("start-form").addEventListener("submit", begin);
$("mic-toggle").addEventListener("click", () => toggle("microphone"));
$("screen-toggle").addEventListener("click", () => toggle("screen"));
$("finish").addEventListener("click", finish);
$("open-minutes").addEventListener("click", () => {
  const leave = (jump) => (...where) => {
    $("minutes").close();
    jump(...where);
  };
  fillMinutes($("minutes-lines"), sessionId, leave((...line) => transcript.jump(...line)), leave((start) => screenView.showAt(start)));
  open($("minutes"));
});
$("open-meetings").addEventListener("click", () => {
  fillMeetings($("kept"), sessionId, confirmDelete).catch(reportGone);
  fillVoices($("remembered"), $("voices"), confirmVoice).catch(reportGone);
  open($("meetings"));
});
document.addEventListener("click", (event) => {
  const menu = $("downloads");
  if (menu.open && (!menu.contains(event.target) || event.target.closest("a"))) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("downloads").open) {
    $("downloads").open = false;
    $("downloads").querySelector("summary").focus();
  }
  const isTyping = event.target.closest("input, select, textarea, dialog");
  if (event.key === "/" && !isTyping && sessionId) {
    event.preventDefault();
    $("question").focus();
  }
});

let metered = null;
capture.addEventListener("sources", () => {
  if (metered !== capture.microphone) {
    metered = capture.microphone;
    meterLevel();
    if (metered) listMicrophones();
  }
  remember();
  showState();
});
capture.addEventListener("session", remember);
capture.addEventListener("state", ({ detail }) => {
  isConnected = detail.connected;
  notice("connection", detail.connected || isGatewayGone ? "" : `${detail.message} Connecting again; nothing is recorded until then.`);
  showState();
});
capture.addEventListener("lag", ({ detail }) => {
  lag.heard(detail.position, detail.backlog_s);
  const lost = detail.lost_s > 0;
  notice("lost", lost ? `This machine is too slow or a service was away too long: ${Math.round(detail.lost_s)} s of sound were left out.` : "");
});
capture.addEventListener("trouble", ({ detail }) => notice("trouble", detail.message, { level: detail.isHint ? "hint" : "error" }));
addEventListener("hashchange", route);
addEventListener("pagehide", () => capture.abandon());
setInterval(checkServices, STATUS_MS);
checkServices();
route();
