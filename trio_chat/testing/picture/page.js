// A click on a name shows only the events of that host; a second click shows all again.
const focus = document.getElementById("focus");
let shown = "";
document.querySelector(".heads").addEventListener("click", (event) => {
  const host = event.target.dataset.h;
  if (host === undefined) return;
  shown = host === shown || event.target.classList.contains("server") ? "" : host;
  focus.textContent = shown && `.m:not([data-h="${CSS.escape(shown)}"]) { opacity: .06 }`;
});
