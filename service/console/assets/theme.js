// Before anything is painted: the theme that was chosen here, else the system's.
document.documentElement.dataset.theme =
  localStorage.getItem("posterity-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
