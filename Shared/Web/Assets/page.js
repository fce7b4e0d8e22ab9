// Comfort only: every page works without this script.
"use strict";

// A second press while a form is on its way would send it twice.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "true";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A button that copies the code in front of it.
for (const display of document.querySelectorAll(".code-display")) {
  if (!navigator.clipboard) break;
  const thai = document.documentElement.lang === "th";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button copy";
  button.textContent = thai ? "คัดลอก" : "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(display.querySelector("code").textContent);
      button.textContent = thai ? "คัดลอกแล้ว" : "Copied";
    } catch {
      getSelection().selectAllChildren(display.querySelector("code"));
      button.textContent = thai ? "เลือกไว้แล้ว" : "Selected";
    }
  });
  display.append(button);
}

// A form that looks something up shows the answer while the person types.
for (const form of document.querySelectorAll("form[data-live]")) {
  let asked;
  form.addEventListener("input", () => {
    clearTimeout(asked);
    const place = document.getElementById(form.dataset.live);
    if (!form.checkValidity()) return place.replaceChildren();
    const mine = asked = setTimeout(async () => {
      try {
        const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const found = page.getElementById(form.dataset.live);
        if (mine === asked && found) place.replaceChildren(...found.childNodes);
      } catch {
        // The button asks again.
      }
    }, 250);
  });
}

// A page that waits for something asks again.
const waiting = document.querySelector("main[data-next]");
if (waiting) setTimeout(() => location.replace(waiting.dataset.next), 2_000);

// The time zone of a new account.
for (const field of document.querySelectorAll("input[name=time_zone][type=hidden]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}
