// Pictures of a case. The server refuses a clear picture after its one showing; this takes it from the page: after 20 s,
// when the page is left or hidden, and before the browser keeps the page for its back button.
(() => {
  "use strict";
  const SHOWN_MS = 20_000;

  const close = (viewer) => {
    if (!viewer.isConnected) return;
    viewer.querySelector("picture").remove();
    htmx.ajax("GET", viewer.dataset.closed, { target: "#pictures", swap: "outerHTML" });
  };
  const viewerOf = (image) => (image instanceof HTMLImageElement ? image.closest(".viewer") : null);

  document.addEventListener("load", (event) => {
    const viewer = viewerOf(event.target);
    if (viewer && event.target.matches(".clear")) setTimeout(() => close(viewer), SHOWN_MS);
  }, true);
  // The server says in the tile why it does not open.
  document.addEventListener("error", (event) => {
    const viewer = viewerOf(event.target);
    if (viewer) close(viewer);
  }, true);
  document.addEventListener("visibilitychange", () => {
    const clear = document.querySelector(".viewer img.clear");
    if (document.hidden && clear) close(clear.closest(".viewer"));
  });
  addEventListener("pagehide", () => {
    for (const viewer of document.querySelectorAll(".viewer")) viewer.remove();
  });
  // A picture that is hidden, or does not open, takes its buttons along: the focus stays in the section.
  let held = false;
  document.addEventListener("htmx:before:swap", () => {
    held = document.activeElement?.closest(".viewer") != null;
  });
  // A picture of this moment is the next that the key opens: whoever asked for it would be shown an older one.
  document.addEventListener("htmx:after:swap", () => {
    if (held && document.activeElement === document.body) document.getElementById("pictures").focus({ preventScroll: true });
    const keyed = [...document.querySelectorAll("#pictures .tile a[aria-keyshortcuts]")];
    for (const one of keyed.slice(0, -1)) {
      one.removeAttribute("aria-keyshortcuts");
      one.querySelector("kbd")?.remove();
    }
  });
  // Whoever types another reason has chosen it.
  document.addEventListener("input", (event) => {
    if (event.target.id !== "clear-other") return;
    event.target.form.elements.reason.value = "other";
  });
})();
