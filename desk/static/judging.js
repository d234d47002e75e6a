// Judging on the case page: the note's draft, Enter in the category popup, and buttons that wait for the hold.
// The draft is kept in this tab only (sessionStorage), by case and person, until the decision is made.
(() => {
  "use strict";
  const PREFIX = "lw-note:";
  const column = document.getElementById("decide");
  if (!column) return;
  const kept = (action) => { try { return action(window.sessionStorage); } catch { return null; } }; // storage may be off

  const note = column.querySelector("textarea[data-draft], #judging textarea");
  const form = column.querySelector("#judging");
  const place = column.querySelector("[data-case][data-person]");
  const key = place && `${PREFIX}${encodeURIComponent(place.dataset.person)},${place.dataset.case}`;

  // Drafts of somebody else who used this tab before.
  const mine = key && key.slice(0, key.indexOf(",") + 1);
  kept((drafts) => Object.keys(drafts).filter((one) => mine && one.startsWith(PREFIX) && !one.startsWith(mine))
    .forEach((one) => drafts.removeItem(one)));

  if (column.querySelector("[data-judged-by-you]")) {
    kept((drafts) => drafts.removeItem(key));
  } else if (note && key) {
    if (!note.value) note.value = kept((drafts) => drafts.getItem(key)) ?? "";
    const keep = () => kept((drafts) => note.value ? drafts.setItem(key, note.value) : drafts.removeItem(key));
    note.addEventListener("input", keep);
    if (note.value) keep();
  }

  // The answer to a form is at the form's address: a reload would send the form again.
  const own = place && `/cases/${encodeURIComponent(place.dataset.case)}`;
  if (own && location.pathname.startsWith(`${own}/`)) history.replaceState(null, "", own);
  if (!form) return;

  // Disabled buttons do nothing: also those that lost the hold while the page was open.
  column.addEventListener("click", (event) => {
    const button = event.target.closest("button[aria-disabled='true']");
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  document.querySelectorAll(".popup[id^='law-']").forEach((popup) => {
    popup.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target.localName === "button") return;
      event.preventDefault();
      popup.querySelector("button.main").click();
    });
    // Without a category nothing can be decided: the popup stays, and says so, rather than the page loads for it.
    popup.querySelector("button.main").addEventListener("click", (event) => {
      const missing = !popup.querySelector("input:checked");
      popup.querySelector("[data-missing]").hidden = !missing;
      if (!missing) return;
      event.preventDefault();
      popup.querySelector("input:enabled").focus();
    });
  });

  // One key, one decision: a second press while the first is under way sends nothing.
  let sent = false;
  form.addEventListener("submit", (event) => {
    const nothing = event.submitter?.getAttribute("formmethod") === "dialog"; // Enter in a choice
    if (sent || nothing) event.preventDefault();
    sent = sent || !nothing;
  });
  window.addEventListener("pageshow", () => { sent = false; });
})();
