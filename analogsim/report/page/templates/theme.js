(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const kept = localStorage.getItem("analogsim-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* storage is denied: the theme follows the system */ }
})();
