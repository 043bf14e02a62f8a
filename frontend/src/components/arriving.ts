/**
 * The focus after a change of page goes to the page's title, once that is drawn: who uses the keyboard or
 * hears the page begins there, and not at its foot or in the menu that led here (WCAG 2.4.3).
 */
let due = false

export const arriving = () => {
  due = true
}

export function arrived(title: HTMLElement) {
  if (!due) return
  due = false
  // What is open above the page keeps it.
  if (!document.activeElement?.closest('dialog[open]')) title.focus({ preventScroll: true })
}
