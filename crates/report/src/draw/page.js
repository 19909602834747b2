// Comfort only: the page says everything without it. Tips appear at once instead of after the browser's pause.
(() => {
  const root = document.documentElement;
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  for (const title of document.querySelectorAll('svg title')) {
    const shape = title.parentNode;
    shape.dataset.tip = title.textContent;
    shape.setAttribute('aria-label', title.textContent);
    title.remove();
  }
  const show = (event) => {
    const shape = event.target.closest && event.target.closest('[data-tip]');
    tip.hidden = !shape;
    if (!shape) return;
    tip.textContent = shape.dataset.tip;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const below = event.clientY + 18;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8)) + 'px';
    tip.style.top = (below + height > innerHeight ? event.clientY - height - 12 : below) + 'px';
  };
  addEventListener('pointermove', show, { passive: true });
  addEventListener('pointerdown', show, { passive: true });
  addEventListener('scroll', () => { tip.hidden = true; }, { passive: true });
  const button = document.querySelector('.theme');
  button.hidden = false;
  button.addEventListener('click', () => {
    const now = root.style.colorScheme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
    root.style.colorScheme = now === 'dark' ? 'light' : 'dark';
  });
  addEventListener('beforeprint', () => {
    for (const details of document.querySelectorAll('details')) details.open = true;
  });
})();
