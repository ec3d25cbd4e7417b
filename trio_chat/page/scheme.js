/* Light or dark as chosen, before anything is painted: not a module, since those wait for the page. */
{
  let chosen = null;
  try {
    chosen = JSON.parse(localStorage.getItem("trio-chat.scheme") ?? "null");
  } catch {
    // No storage, no choice: as the system has it.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.scheme = chosen;
}
