/** The camera, in a dialog. */

/** Browsers offer it on pages from https and from the same machine only. */
export function hasCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

export class Camera {
  #stream = null;

  /** @param take called with the photo, a JPEG file */
  constructor({ dialog, view, note, takeButton, closeButton }, take) {
    this.parts = { dialog, view, note, takeButton };
    closeButton.addEventListener("click", () => dialog.close());
    takeButton.addEventListener("click", async () => {
      const file = await this.#capture();
      dialog.close();
      take(file);
    });
    dialog.addEventListener("close", () => this.#stop());
  }

  async open() {
    const { dialog, view, note, takeButton } = this.parts;
    takeButton.disabled = true;
    note.textContent = "Your browser asks whether this page may use the camera.";
    dialog.showModal();
    try {
      const wanted = { video: { facingMode: "environment", width: { ideal: 1920 } } };
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      if (!dialog.open) {
        stream.getTracks().forEach((track) => track.stop()); // closed while the browser asked
        return;
      }
      this.#stream = stream;
      view.srcObject = stream;
      await view.play();
      note.textContent = "";
      takeButton.disabled = false;
      takeButton.focus();
    } catch (error) {
      note.textContent = explain(error);
    }
  }

  #capture() {
    const { view } = this.parts;
    const canvas = document.createElement("canvas");
    canvas.width = view.videoWidth;
    canvas.height = view.videoHeight;
    canvas.getContext("2d").drawImage(view, 0, 0);
    return new Promise((resolve) => {
      canvas.toBlob(
        (blob) => resolve(new File([blob], "camera.jpg", { type: "image/jpeg" })),
        "image/jpeg",
        0.92,
      );
    });
  }

  #stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.parts.view.srcObject = null;
  }
}

/** https://www.w3.org/TR/mediacapture-streams/#dom-mediadevices-getusermedia names the errors. */
function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The camera is not allowed on this page. Allow it in the browser's address bar.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "There is no camera.";
    case "NotReadableError":
      return "Another program uses the camera. Close that, then try again.";
    default:
      return `The camera cannot be used: ${error.message}`;
  }
}
