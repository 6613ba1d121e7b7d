// The console's and the till's own behaviour: focus, shortcuts, the undo countdown. The pages work on the server.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { $("live").textContent = text; };
  const found = () => document.querySelector("#who [data-found]");
  const asked = () => document.querySelector("#who [data-go]"); // what a code asked for, a member's or a gift card's
  const ahead = () => asked() || $("amount"); // goes first

  let isGuest = false; // chosen, and nothing typed since: a search that was still to come is for nobody
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isGuest && event.detail.elt.id === "q") event.preventDefault();
    else event.detail.target.setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", (event) => event.detail.target.removeAttribute("aria-busy"));

  // After a swap focus must not fall to the body (UX §3.5).
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "main" || event.target.id === "main") {
      const place = document.querySelector("#main [data-focus]") || $("q");
      if (place) place.focus();
      countdown();
    }
  });

  // Fields that say something only beside another field's choice; without this script all of them are there.
  const chosen = (name) => document.querySelector(`select[name="${name}"], input[name="${name}"]:checked`)?.value;
  const fit = () => {
    for (const part of document.querySelectorAll("[data-when]")) {
      const [name, values] = part.dataset.when.split(":");
      part.hidden = !values.split(",").includes(chosen(name));
    }
  };
  document.addEventListener("change", (event) => {
    const set = event.target.selectedOptions?.[0]?.dataset.set, other = event.target.dataset.sets;
    if (other && set) $(other).value = set;
    fit();
  });
  fit();

  // A sale that did not get through keeps its number, so sending it again can't count twice.
  for (const failure of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(failure, (event) => {
      const till = $("till");
      if (!till || event.detail.elt.id !== "sale") return;
      const note = $("again") || Object.assign(document.createElement("p"), { id: "again", className: "wrong" });
      note.textContent = till.dataset.again;
      $("preview").before(note);
      say(till.dataset.again);
    });
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id === "sale") setTimeout(() => { if ($("confirm")?.disabled) say($("till").dataset.sending); }, 300);
  });

  // The till's find field: what was found belongs to what was typed, and to nothing typed since.
  let goOn = false;
  document.addEventListener("input", (event) => {
    if (event.target.id === "q") isGuest = false;
    if (event.target.id === "q" && $("who") && (found() || asked())) { $("who").replaceChildren(); htmx.trigger(document.body, "who"); }
  });
  // What is paid with points shows at once; a code that is half typed isn't looked up, since wrong ones are counted.
  document.addEventListener("input", (event) => {
    if (event.target.id === "points") htmx.trigger(document.body, "paying");
  });
  document.addEventListener("who", () => {
    if ((found() || asked()) && (goOn || document.activeElement === document.body)) ahead().focus();
    goOn = false;
  });
  document.addEventListener("click", (event) => {
    const near = (what) => event.target.closest(what);
    if (near("[data-print]")) window.print();
    if (near("[data-help]")) $("help").showModal();
    if (near(".choice, [data-guest]")) goOn = true;
    if (near("[data-guest]")) { isGuest = true; $("q").value = ""; }
    const all = near("[data-all]");
    if (all) {
      $("points").value = all.dataset.all;
      $("points").dispatchEvent(new Event("input", { bubbles: true }));
    }
    const preset = near("[data-amount]");
    if (preset) {
      $("amount").value = preset.dataset.amount;
      $("amount").dispatchEvent(new Event("input", { bubbles: true }));
      ($("confirm") || $("amount")).focus();
    }
  });

  const keys = {
    F2: () => $("q")?.select(),
    F4: () => $("amount")?.select(),
    F8: () => document.querySelector("[data-register]")?.click(),
    F9: () => document.querySelector("[data-guest]")?.click(),
  };
  const use = (key) => { const one = document.querySelector(`#who [data-use="${key}"]`); one?.click(); return one; };
  document.addEventListener("keydown", (event) => {
    const at = document.activeElement, typing = at.matches("input[type=text]:not(#amount), input[type=tel], input[type=search], input[type=email]");
    if (document.querySelector("dialog[open]")) return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    else if ("123".includes(event.key) && (event.altKey || !at.matches("input:not([type=checkbox])")) && use(event.key)) event.preventDefault();
    else if (event.key === "/" && !typing && $("q")) { event.preventDefault(); $("q").select(); }
    else if (event.key === "?" && !typing && $("help")) { event.preventDefault(); $("help").showModal(); }
    else if (event.key === "z" && (event.ctrlKey || event.metaKey) && $("undo")) { event.preventDefault(); $("undo").requestSubmit(); }
    else if (event.key === "Enter" && $("finish") && !at.matches("a, button, summary, input, select")) { event.preventDefault(); $("finish").click(); }
    else if (event.key === "Enter" && at.id === "points") { event.preventDefault(); ($("amount").value ? $("confirm") : $("amount")).focus(); }
    else if (event.key === "Enter" && at.matches("[data-scan]")) { // a scanner ends with Enter: the code is looked at before anything is booked
      event.preventDefault();
      at.blur();
      $("confirm")?.focus();
    }
    else if (event.key === "Enter" && at.id === "q" && $("sale")) {
      event.preventDefault();
      if (found() || asked()) ahead().focus();
      else { goOn = true; htmx.trigger(at, "look"); }
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "sale" && !found()) { event.preventDefault(); event.stopPropagation(); $("q").focus(); }
  }, true);

  let clock;
  function countdown() {
    clearInterval(clock);
    const form = $("undo");
    if (!form) return;
    const end = Date.now() + form.dataset.seconds * 1000;
    clock = setInterval(() => {
      const left = Math.ceil((end - Date.now()) / 1000);
      form.querySelector("[data-left]").textContent = left;
      if (left <= 0) { clearInterval(clock); form.remove(); $("late")?.removeAttribute("hidden"); }
    }, 1000);
  }
  countdown();
  document.querySelector("#wrong")?.focus();
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
