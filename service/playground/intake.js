/** The ways to give the page a photo: drop, paste or choose a file. */

/** @param take called with the file, and how many others came with it and are ignored */
export function takeFiles({ root, input }, take, refuse) {
  let depth = 0; // dragenter and dragleave come for every element on the way

  root.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    root.classList.add("dragging");
  });
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth === 0) root.classList.remove("dragging");
  });
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    root.classList.remove("dragging");
    accept(event.dataTransfer.files, "That is not a file. Save the photo, then drop it here.");
  });
  root.addEventListener("paste", (event) => {
    if (event.target.matches("input:not([type=range])")) return;
    accept(event.clipboardData.files, "There is no photo in the clipboard.");
  });
  input.addEventListener("change", () => {
    if (input.files.length) accept(input.files, "");
    input.value = ""; // the same file may be chosen again
  });

  function accept(files, complaint) {
    if (files.length === 0) refuse(complaint);
    else take(files[0], files.length - 1);
  }
}
