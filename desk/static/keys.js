// Keys. Each presses or focuses the element of the page whose aria-keyshortcuts has it, after the event "desk:key" on that
// element, which a script may prevent to act itself (detail.key is the default key). Pages are written with the default
// keys; the person's own, in <html data-keys>, are put in their place here.
"use strict"
;(() => {
  const root = document.documentElement
  const own = JSON.parse(root.dataset.keys || "{}")
  const SHOWN = { Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" }
  const TYPED = "input:not([type=checkbox], [type=button], [type=submit]), textarea, select, [contenteditable]"
  const PRESSED = "a[href], button, summary, input"
  const shown = (key) => SHOWN[key] || key.toUpperCase()
  const keysOf = (element) => (element.getAttribute("aria-keyshortcuts") || "").split(" ").filter(Boolean)
  const labels = (element) => [...(element.labels || [])]

  // The person's own keys, in the attribute and in what is shown beside it.
  const adapt = (element) => {
    if (element.dataset.defaultKeys) return
    const defaults = keysOf(element)
    element.dataset.defaultKeys = defaults.join(" ")
    if (!defaults.some((key) => own[key])) return
    element.setAttribute("aria-keyshortcuts", defaults.map((key) => own[key] || key).join(" "))
    for (const kbd of [element, ...labels(element)].flatMap((one) => [...one.querySelectorAll("kbd")])) {
      const now = kbd.textContent.trim().split(" ").map((key) => own[key.toLowerCase()]?.toUpperCase() || key).join(" ")
      if (now !== kbd.textContent) kbd.textContent = now
    }
  }
  const adaptAll = () => document.querySelectorAll("[aria-keyshortcuts]:not([data-default-keys])").forEach(adapt)

  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true })
  const find = (key) => [...document.querySelectorAll("[aria-keyshortcuts]")]
    .find((element) => keysOf(element).includes(key) && isSeen(element))

  const press = (element, key) => {
    const at = keysOf(element).indexOf(key)
    const meant = (element.dataset.defaultKeys || "").split(" ")[at] || key
    const event = new CustomEvent("desk:key", { bubbles: true, cancelable: true, detail: { key: meant } })
    if (!element.dispatchEvent(event)) return
    element.focus()
    if (element.matches(TYPED)) element.select?.()
    else if (element.matches(PRESSED) && element.getAttribute("aria-disabled") !== "true") element.click()
  }

  // A form is on its way: what is pressed now was meant for this page and would act on the next one.
  let leaving = false
  document.addEventListener("submit", (event) => setTimeout(() => { leaving = leaving || !event.defaultPrevented }))
  window.addEventListener("pageshow", () => { leaving = false })

  const isTyping = (element) => element instanceof Element && element.matches(TYPED)
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.repeat || leaving) return
    // Some keyboards have [ and ] on AltGr, which may read as Ctrl and Alt.
    if ((event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph")) return
    // Letters and figures with Shift are others'; a sign may need Shift.
    if (event.shiftKey && !/^[^\p{L}\p{N}]$/u.test(event.key)) return
    if (document.querySelector("dialog[open], :popover-open")) return
    adaptAll() // the page may still be coming in
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur()
      return
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    // French keyboards have figures on Shift.
    const figure = !event.shiftKey && /^Digit\d$/.test(event.code) ? event.code.slice(5) : ""
    const named = find(key) ? key : figure
    const element = named && find(named)
    if (!element) return
    event.preventDefault()
    press(element, named)
  })

  // The list of keys of this page, made of its own elements when it opens.
  const words = (element) => {
    const copy = element.cloneNode(true)
    copy.querySelectorAll("kbd, .sub, .hidden, svg").forEach((part) => part.remove())
    return copy.textContent.replace(/\s+/g, " ").trim()
  }
  const nameOf = (element, names) => {
    const known = (element.dataset.defaultKeys || "").split(" ").map((key) => names[key]).filter(Boolean)
    const by = document.getElementById(element.getAttribute("aria-labelledby") || "")
    return known.join(", ") || element.getAttribute("aria-label") || words(by || labels(element)[0] || element)
  }
  const fill = (list) => {
    const names = JSON.parse(list.dataset.names || "{}")
    const seen = new Set()
    list.replaceChildren(...[...document.querySelectorAll("[aria-keyshortcuts]")].flatMap((element) => {
      const keys = keysOf(element).filter((key) => !seen.has(key))
      if (!keys.length || !isSeen(element)) return []
      keys.forEach((key) => seen.add(key))
      const item = document.createElement("li")
      item.append(nameOf(element, names), " ", ...keys.map((key) => {
        const kbd = document.createElement("kbd")
        kbd.textContent = shown(key)
        return kbd
      }))
      return [item]
    }))
  }

  // A field that takes a key: pressing one is choosing it.
  const record = (event) => {
    const field = event.target
    if (!(field instanceof Element) || !field.matches("[data-takes-key]") || event.key.length !== 1 || event.key === " ") return
    if (event.ctrlKey || event.metaKey || event.repeat) return
    event.preventDefault()
    field.value = event.key.toUpperCase()
    field.dispatchEvent(new Event("change", { bubbles: true }))
  }

  document.addEventListener("DOMContentLoaded", () => {
    adaptAll()
    new MutationObserver(adaptAll).observe(document.body, { childList: true, subtree: true })
    document.addEventListener("keydown", record, true)
    const popup = document.getElementById("keys")
    popup?.addEventListener("beforetoggle", (event) => {
      if (event.newState === "open") fill(popup.querySelector(".keys"))
    })
    root.dataset.keysReady = ""
  })
})()
