// What this page records: microphone and screen over WebRTC into one session, also after a lost connection.

import { request } from "./api.js";

const SILENT_GATEWAY_MS = 6000;
const RETRY_MS = [500, 1000, 2000, 4000];
const PING_MS = 2000;

/** What is wrong with a capture, in words; null when the user just closed the picker. */
export function captureTrouble(error, what) {
  if (!navigator.mediaDevices) {
    return "The browser only records on 127.0.0.1, localhost or an https address. Open this page under one of them.";
  }
  if (what === "microphone") {
    switch (error.name) {
      case "NotAllowedError":
        return "The browser did not allow the microphone. Allow it in the site settings beside the address, then press Microphone again.";
      case "NotFoundError":
        return "No microphone was found. Connect one, or go on with the screen only.";
      case "NotReadableError":
        return "The microphone is in use by another program. Close that program, then press Microphone again.";
      case "OverconstrainedError":
        return "The chosen microphone is gone. Choose another one.";
    }
    return `The microphone could not be opened: ${error.message}`;
  }
  switch (error.name) {
    case "NotAllowedError":
      return "Nothing is shared: the choice was cancelled, or the browser or system did not allow it. Press Screen to choose again.";
    case "NotFoundError":
      return "There is no tab, window or screen that can be shared.";
    case "NotReadableError":
      return "The system refused to record this window or screen. Choose another one.";
  }
  return `The screen could not be shared: ${error.message}`;
}

/**
 * Records into a session. Events (CustomEvent): "sources" when something was switched on or off,
 * "state" {connected, message}, "lag" {backlog_s, lost_s, position}, "trouble" {message}.
 */
export class Capture extends EventTarget {
  #connection = null;
  #channel = null;
  #senders = null;
  #microphone = null;
  #screen = null;
  #heard = 0;
  #timer = 0;
  #tries = 0;
  #attempt = 0;
  #wanted = false;
  #watch = 0;

  constructor() {
    super();
    this.sessionId = "";
    this.peerId = "";
    this.options = {};
  }

  get microphone() {
    return this.#microphone;
  }

  get screen() {
    return this.#screen;
  }

  get isRecording() {
    return this.#wanted;
  }

  async openMicrophone(deviceId = "") {
    if (!navigator.mediaDevices) throw new Error("not a secure context");
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        deviceId: deviceId ? { exact: deviceId } : undefined,
        channelCount: 1,
        // What the loudspeakers play comes with the screen's own sound already.
        echoCancellation: true,
        noiseSuppression: false,
        autoGainControl: true,
      },
    });
    this.closeMicrophone(false);
    this.#microphone = stream;
    const track = stream.getAudioTracks()[0];
    track.addEventListener("ended", () => {
      if (this.#microphone !== stream) return;
      this.closeMicrophone();
      this.#tell("trouble", { message: "The microphone was disconnected." });
    });
    await this.#send();
  }

  closeMicrophone(send = true) {
    this.#microphone?.getTracks().forEach((track) => track.stop());
    this.#microphone = null;
    if (send) this.#send();
  }

  async openScreen(preferThisTab = false) {
    if (!navigator.mediaDevices) throw new Error("not a secure context");
    const stream = await navigator.mediaDevices.getDisplayMedia({
      // Text stays sharp; the gateway looks ten times a second.
      video: { frameRate: { ideal: 10, max: 10 }, width: { max: 2560 }, height: { max: 1600 } },
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      systemAudio: "include",
      selfBrowserSurface: preferThisTab ? "include" : "exclude",
      surfaceSwitching: "include",
      ...(preferThisTab ? { preferCurrentTab: true } : {}),
    });
    this.closeScreen(false);
    this.#screen = stream;
    const track = stream.getVideoTracks()[0];
    track.contentHint = "text";
    track.addEventListener("ended", () => {
      if (this.#screen === stream) this.closeScreen();
    });
    if (!stream.getAudioTracks().length) {
      this.#tell("trouble", { message: "The shared screen comes without sound. To transcribe it too, share a tab and keep “Also share tab audio” on.", isHint: true });
    }
    await this.#send();
  }

  closeScreen(send = true) {
    this.#screen?.getTracks().forEach((track) => track.stop());
    this.#screen = null;
    if (send) this.#send();
  }

  /** Begins a session, or goes on with `sessionId`; throws what the gateway says. */
  async connect(sessionId, options = {}) {
    this.sessionId = sessionId;
    this.options = options;
    this.#wanted = true;
    try {
      await this.#connect();
    } catch (error) {
      this.#wanted = false;
      this.#drop();
      throw error;
    }
  }

  /** Stops recording; the session can be gone on with. */
  leave() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.closeMicrophone(false);
    this.closeScreen(false);
    this.#hangUp();
    this.#drop();
    this.#tell("sources");
  }

  /** The page goes away: tell the gateway without waiting. */
  abandon() {
    this.#hangUp();
  }

  #hangUp() {
    if (this.peerId) request("DELETE", `/api/rtc/${encodeURIComponent(this.peerId)}`, undefined, { keepalive: true }).catch(() => {});
  }

  #drop() {
    this.#attempt++;
    clearInterval(this.#watch);
    this.#channel?.close();
    this.#connection?.close();
    this.#channel = this.#connection = this.#senders = null;
  }

  async #connect() {
    this.#drop();
    const attempt = this.#attempt;
    const connection = (this.#connection = new RTCPeerConnection());
    // Everything is offered once; sources come and go by replaceTrack, without a new offer.
    const add = (kind, init = {}) => connection.addTransceiver(kind, { direction: "sendonly", ...init }).sender;
    this.#senders = {
      microphone: add("audio"),
      sound: add("audio"),
      picture: add("video", { sendEncodings: [{ maxBitrate: 6_000_000, maxFramerate: 5 }] }),
    };
    const channel = (this.#channel = connection.createDataChannel("status"));
    channel.onmessage = (message) => this.#hear(JSON.parse(message.data));
    connection.onconnectionstatechange = () => {
      if (connection === this.#connection && connection.connectionState === "failed") this.#reconnect("The connection to the gateway was lost.");
    };
    await this.#send();
    await connection.setLocalDescription();
    const answer = await request("POST", "/api/rtc", {
      sdp: connection.localDescription.sdp,
      type: "offer",
      session_id: this.sessionId,
      peer_id: this.peerId,
      ...this.options,
    });
    if (attempt !== this.#attempt) return;
    this.sessionId = answer.session_id;
    this.peerId = answer.peer_id;
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.#heard = performance.now();
    this.#watch = setInterval(() => this.#check(), PING_MS);
    this.#tell("session", { sessionId: this.sessionId, peerId: this.peerId });
  }

  #hear(message) {
    this.#heard = performance.now();
    if (message.type === "lag") {
      this.#tries = 0;
      this.#tell("state", { connected: true });
      this.#tell("lag", message);
    } else if (message.type === "failed") {
      this.#tell("trouble", { message: message.message });
    }
  }

  #check() {
    if (this.#channel?.readyState === "open") this.#channel.send("{}");
    if (performance.now() - this.#heard > SILENT_GATEWAY_MS) this.#reconnect("The gateway went silent.");
  }

  #reconnect(message) {
    if (!this.#wanted) return;
    this.#drop();
    this.#tell("state", { connected: false, message });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      try {
        await this.#connect();
      } catch (error) {
        // The session has ended or is somebody else's now: trying again would not help.
        if (error.status === 404 || error.status === 400) {
          this.leave();
          this.#tell("trouble", { message: error.message });
        } else this.#reconnect(error.message);
      }
    }, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
  }

  async #send() {
    this.#tell("sources");
    if (!this.#senders) return;
    const { microphone, sound, picture } = this.#senders;
    await Promise.all([
      microphone.replaceTrack(this.#microphone?.getAudioTracks()[0] ?? null),
      sound.replaceTrack(this.#screen?.getAudioTracks()[0] ?? null),
      picture.replaceTrack(this.#screen?.getVideoTracks()[0] ?? null),
    ]);
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
