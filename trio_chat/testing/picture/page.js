// A click on a name shows what is that host's alone; another click, all of it again.
const focus = document.getElementById("focus");
let shown = "";
document.querySelector(".heads").addEventListener("click", (event) => {
  const host = event.target.dataset.h;
  if (host === undefined) return;
  shown = host === shown || event.target.classList.contains("server") ? "" : host;
  focus.textContent = shown && `.m:not([data-h="${CSS.escape(shown)}"]) { opacity: .06 }`;
});
