/* Apply the chosen colour scheme before the first paint: not a module, since modules wait for the page. */
{
  let chosen = null;
  try {
    chosen = JSON.parse(localStorage.getItem("trio-chat.scheme") ?? "null");
  } catch {
    // Without storage there is no choice: follow the system.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.scheme = chosen;
}
