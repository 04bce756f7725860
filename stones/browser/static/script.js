// What a page does without this script, it does with it too. The script only saves steps.
"use strict";

// The key "/" goes to the filter, as in many programs.
document.addEventListener("keydown", (event) => {
  const target = event.target;
  const types = target instanceof HTMLElement && target.closest("input, textarea, select");
  if (event.key !== "/" || types || event.ctrlKey || event.metaKey || event.altKey) return;
  const filter = document.querySelector("[data-filter]");
  if (filter instanceof HTMLElement) {
    event.preventDefault();
    filter.focus();
  }
});

// Ctrl+Enter sends the form in which somebody types: Enter is a new line in a textarea.
document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  if (target instanceof HTMLTextAreaElement && target.form) {
    event.preventDefault();
    target.form.requestSubmit();
  }
});

// A form that was changed asks before its page is left.
for (const form of document.querySelectorAll("form.record")) {
  let isChanged = false;
  form.addEventListener("input", () => { isChanged = true; });
  form.addEventListener("submit", () => { isChanged = false; });
  window.addEventListener("beforeunload", (event) => {
    if (isChanged) event.preventDefault();
  });
}
