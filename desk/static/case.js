// A case page that is open: it renews its hold each minute, lets go of it when it is left, says what changed meanwhile, and
// walks along the timeline. Nothing under the person's hands is replaced but by their own press.
"use strict"
;(() => {
  const page = document.getElementById("case")
  if (!page) return
  const RENEW_MS = 60_000
  const STATE_MS = 3_000
  const TIMELINE_MS = 20_000
  const SHORT_MS = 55_000 // a lease that another page of this person cut short, on another machine
  const ANSWER_MS = 15_000 // one that hangs would be the last: the next waits for it
  const { address, csrf } = page.dataset
  const seen = (id) => document.getElementById(id)
  let mine = page.dataset.mine === "yes"
  let staying = false // on the way to another page of this case, which renews the hold itself
  let renewedAt = Date.now()
  let untilMs = 0
  let unanswered = false // the page says that the desk does not answer

  const post = (path, fields = {}) => fetch(address + path, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({ csrf, ...fields }),
    redirect: "manual",
    signal: AbortSignal.timeout(ANSWER_MS),
  })
  const get = (path) => fetch(path, { redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) })

  // Hold
  const tell = (id, text) => {
    const place = seen(id)
    if (!place) return
    if (place.textContent !== text) place.textContent = text
    place.hidden = !text
  }
  const lose = (text) => {
    mine = false
    tell("lost", text)
    tell("offline", "")
    for (const button of document.querySelectorAll("[data-outcome]")) button.setAttribute("aria-disabled", "true")
    for (const popup of document.querySelectorAll(".popup:popover-open:not(#keys)")) popup.hidePopover()
  }
  const clock = (ms) => new Date(ms).toISOString().slice(11, 16)
  let renewing = null
  const renew = () => {
    renewing ??= renewOnce().finally(() => { renewing = null })
    return renewing
  }
  const renewOnce = async () => {
    if (!mine) return
    try {
      const answer = await post("/renew", { away: Math.round((Date.now() - renewedAt) / 1000) })
      if (!answer.ok) throw new Error(`answer ${answer.status}`)
      const told = await answer.json()
      if (told.lost) return lose(told.lost)
      renewedAt = Date.now()
      untilMs = told.until_ms
      unanswered = false
      tell("offline", "")
    } catch {
      unanswered = true
      const text = seen("hold-bar")?.dataset.offline || ""
      tell("offline", text.replace("{at}", untilMs ? clock(untilMs) : "–"))
    }
  }
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("livewarden-case") : null
  tabs?.addEventListener("message", (event) => {
    if (event.data === address) setTimeout(renew, 1_000) // another page of this case was closed: this one is still open
  })
  window.addEventListener("pagehide", () => {
    if (!mine || staying) return
    navigator.sendBeacon(`${address}/release`, new URLSearchParams({ csrf, page_closed: "1" }))
    tabs?.postMessage(address)
  })
  window.addEventListener("pageshow", (event) => {
    staying = false
    if (event.persisted) void renew().then(ask)
  })
  document.addEventListener("submit", (event) => {
    const path = new URL(event.submitter?.formAction || event.target.action).pathname
    setTimeout(() => {
      staying = !event.defaultPrevented && path.startsWith(`${address}/`) && !path.endsWith("/release")
    })
  })
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null
    const to = link?.getAttribute("href") || "#"
    if (to.startsWith("#") || new URL(to, location.href).pathname !== address) return
    setTimeout(() => { staying = staying || !event.defaultPrevented }) // a part of the page may answer it
  })

  // What changed meanwhile
  const part = (name, root = document) => root.querySelector(`[data-part="${name}"]`)
  const openParts = (element) => [...element.querySelectorAll("details")].map((one) => one.open)
  const replace = (fresh, names) => {
    for (const name of names) {
      const old = part(name)
      const now = part(name, fresh)
      if (!old || !now) continue
      const open = openParts(old)
      now.querySelectorAll("details").forEach((one, number) => { one.open = open[number] || one.open })
      old.replaceWith(document.adoptNode(now))
      if (name === "timeline") gather()
    }
  }
  const load = async () => {
    const answer = await get(address)
    if (!answer.ok) throw new Error(`answer ${answer.status}`)
    return new DOMParser().parseFromString(await answer.text(), "text/html")
  }
  const again = async () => {
    try {
      // What is read is taken note of: a decision is on what its holder was shown.
      if (mine && !(await post("/take")).ok) return location.assign(address)
      const fresh = await load()
      const now = fresh.getElementById("case").dataset
      if ((now.mine === "yes") !== mine) return location.assign(address) // the form of the decision is another one
      replace(fresh, ["head", "why", "stream", "timeline", "hold"])
      for (const field of document.querySelectorAll("#decide input[name=shown]")) {
        field.value = fresh.querySelector("#decide input[name=shown]")?.value ?? field.value
      }
      Object.assign(page.dataset, { evidence: now.evidence, hold: now.hold, live: now.live })
      walkedTo = -1
      seen("news").hidden = true
      seen("why").focus()
    } catch {
      location.assign(address)
    }
  }
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-again]") : null
    if (!button) return
    event.preventDefault()
    void again()
  })
  let asking = false
  const ask = async () => {
    if (asking) return
    asking = true
    try {
      const answer = await get(`${address}/state`)
      if (!answer.ok) return
      const now = await answer.json()
      if (mine && !now.mine) {
        await renewing // one that is on its way may be from before
        await renew() // it says who took it
      } else if (mine && (unanswered || now.lease_ms < SHORT_MS)) void renew()
      const count = seen("open-count")
      if (count && now.queue !== null) count.textContent = now.queue.toLocaleString("en")
      seen("news").hidden = now.evidence === page.dataset.evidence && now.mine === mine
      if (now.hold !== page.dataset.hold && !document.querySelector(":popover-open")) {
        const lost = seen("lost")?.textContent
        replace(await load(), ["hold"])
        page.dataset.hold = now.hold
        if (lost) tell("lost", lost)
      }
    } catch {
      // the next time
    } finally {
      asking = false
    }
  }

  // The timeline
  let walkedTo = -1
  let points = []
  const gather = () => {
    points = [...document.querySelectorAll("#timeline li[data-x]")].map((item) => ({
      x: Number(item.dataset.x),
      anchor: item.id,
      time: item.dataset.time || item.querySelector("time").textContent,
      text: item.querySelector("span")?.textContent || item.textContent,
    })).sort((one, other) => one.x - other.x)
  }
  const drawn = () => document.querySelector("#timeline .tl > svg")
  const line = (x) => {
    const svg = drawn()
    let mark = svg.querySelector(".l-walk")
    if (!mark) {
      mark = document.createElementNS(svg.namespaceURI, "line")
      mark.setAttribute("class", "l-walk")
      mark.setAttribute("y1", "0")
      mark.setAttribute("y2", "176")
      svg.append(mark)
    }
    mark.setAttribute("x1", `${x}%`)
    mark.setAttribute("x2", `${x}%`)
  }
  const walk = (number) => {
    if (!points.length) return
    walkedTo = Math.min(Math.max(number, 0), points.length - 1)
    const { x, time, text, anchor } = points[walkedTo]
    const bold = document.createElement("b")
    bold.className = "num"
    bold.textContent = time
    document.querySelector("#timeline output").replaceChildren(bold, ` ${text}`)
    line(x)
    // One tab stop: where the walk is.
    if (!anchor) return
    for (const link of drawn().querySelectorAll("a")) {
      link.setAttribute("tabindex", link.getAttribute("href") === `#${anchor}` ? "0" : "-1")
    }
  }
  const step = (by) => {
    if (walkedTo >= 0) return walk(walkedTo + by)
    // The first step is to the first match, or to the newest point.
    const match = points.findIndex((one) => one.anchor)
    walk(match >= 0 ? match : points.length - 1)
  }
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null
    const button = target?.closest("[data-walk]")
    if (button) return step(Number(button.dataset.walk))
    const link = target?.closest("#timeline .tl a")
    if (!link) return
    const anchor = link.getAttribute("href").slice(1)
    walk(points.findIndex((one) => one.anchor === anchor))
  })
  document.addEventListener("pointermove", (event) => {
    const svg = event.target instanceof Element ? event.target.closest("#timeline .tl > svg") : null
    if (!svg) return
    const box = svg.getBoundingClientRect()
    const x = (100 * (event.clientX - box.left)) / box.width
    const away = points.map((one) => Math.abs(one.x - x))
    walk(away.indexOf(Math.min(...away)))
  })
  const follow = async () => {
    if (page.dataset.live !== "yes" || walkedTo >= 0 || document.hidden || !drawn()) return
    try {
      const fresh = await load()
      if (walkedTo < 0) replace(fresh, ["timeline"])
    } catch {
      // the next time
    }
  }

  gather()
  void renew()
  setTimeout(renew, 5_000) // the page before may have let go after this one began
  setInterval(renew, RENEW_MS)
  setInterval(ask, STATE_MS)
  setInterval(follow, TIMELINE_MS)
})()
