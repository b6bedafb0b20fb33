"use strict";
// The command, into the clipboard.
const button = document.querySelector(".command button");
if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(document.querySelector(".command code").textContent).then(
      () => { button.textContent = "Copied"; },
      () => { button.textContent = "Select and copy"; },
    );
  });
}
