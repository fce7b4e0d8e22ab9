// Comfort only: every page works without this script.
"use strict";

// A button that copies the code in front of it.
for (const display of document.querySelectorAll(".code-display")) {
  if (!navigator.clipboard) break;
  const thai = document.documentElement.lang === "th";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button copy";
  button.textContent = thai ? "คัดลอก" : "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(display.querySelector("code").textContent);
    button.textContent = thai ? "คัดลอกแล้ว" : "Copied";
  });
  display.append(button);
}

// The time zone of a new account.
for (const field of document.querySelectorAll("input[name=time_zone][type=hidden]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}
