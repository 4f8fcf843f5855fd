/** The card with the request as code: tabs, and the button that copies. */

export class CodeCard {
  #texts = {}; // by the tabs' ids

  constructor({ card, tabs, panel, code, copy }, say) {
    this.parts = { card, tabs, panel, code, copy };
    tabs.forEach((tab) => tab.addEventListener("click", () => this.#select(tab)));
    tabs[0].parentElement.addEventListener("keydown", (event) => this.#walk(event));
    copy.addEventListener("click", async () => {
      const done = await copyText(code);
      copy.textContent = done ? "Copied" : "Select and copy";
      say(done ? "Copied" : "The text is selected; copy it with the keyboard");
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
  }

  /** @param texts of each tab, by its id */
  show(texts) {
    this.#texts = texts;
    this.parts.card.hidden = false;
    this.#select(this.parts.tabs.find((tab) => tab.ariaSelected === "true"));
  }

  #select(chosen) {
    for (const tab of this.parts.tabs) {
      tab.ariaSelected = String(tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
    }
    this.parts.panel.setAttribute("aria-labelledby", chosen.id);
    this.parts.code.textContent = this.#texts[chosen.id];
  }

  #walk(event) {
    const { tabs } = this.parts;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    this.#select(next);
  }
}

/** Whether the text of `element` was copied; it is selected where the browser forbids that. */
async function copyText(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // pages without https have no clipboard; what follows is old, and works there
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
