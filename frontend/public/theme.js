// Runs before the first paint, so that nobody sees the wrong theme flash. Without a choice the
// style sheet follows the system.
try {
  var chosen = localStorage.getItem('holdfast.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // No storage: the system's theme it is.
}
