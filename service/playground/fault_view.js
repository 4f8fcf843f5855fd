/** The notice of what went wrong, with the key's form and the button to try again. */

export class FaultView {
  #timer = 0;

  constructor({ notice, title, detail, advice, keyForm, keyInput, retry }, onRetry, onKey) {
    this.parts = { notice, title, detail, advice, keyForm, keyInput, retry };
    retry.addEventListener("click", onRetry);
    keyForm.addEventListener("submit", (event) => {
      event.preventDefault();
      onKey(keyInput.value.trim());
      keyInput.value = "";
    });
  }

  show({ title, detail, advice, needsKey, canRetry, waitMs }) {
    const { notice, keyForm, keyInput, retry } = this.parts;
    this.hide();
    notice.hidden = false;
    this.parts.title.textContent = title;
    this.parts.detail.textContent = detail;
    this.parts.advice.textContent = advice;
    keyForm.hidden = !needsKey;
    retry.hidden = !canRetry;
    if (needsKey) keyInput.focus();
    if (canRetry) this.#countDown(Date.now() + waitMs);
  }

  hide() {
    clearTimeout(this.#timer);
    this.parts.notice.hidden = true;
  }

  #countDown(until) {
    const { retry } = this.parts;
    const seconds = Math.ceil((until - Date.now()) / 1000);
    retry.disabled = seconds > 0;
    retry.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
    if (seconds > 0) this.#timer = setTimeout(() => this.#countDown(until), 200);
  }
}
