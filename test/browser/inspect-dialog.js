// Runs in the page. Looks at a dialog: everything unfolded, as wide as the editor opens it, then as narrow as a small
// sidebar.
window.inspectDialog = (dialog) => {
  for (const button of dialog.querySelectorAll('[aria-expanded="false"][aria-controls*="-fold-"]')) {
    button.click();
  }
  const isShown = (element) => element.getClientRects().length > 0;
  const all = (selector) => [...dialog.querySelectorAll(selector)].filter(isShown);
  const pen = document.createElement('canvas').getContext('2d');
  /** Whether a field has room for a text; `aside` is what else is in it. */
  const hasRoom = (field, text, aside = 0) => {
    const style = getComputedStyle(field);
    pen.font = `${style.fontSize} ${style.fontFamily}`;
    const room = field.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    return pen.measureText(text).width <= room - aside;
  };
  const ARROW = 16;
  dialog.style.width = '460px';
  const cutOff = [
    // Names of variables may be longer than any dialog.
    ...all('input[placeholder]')
      .filter((input) => !/^[A-Z_]+$/.test(input.placeholder) && !hasRoom(input, input.placeholder))
      .map(({ placeholder }) => placeholder),
    ...all('select').flatMap((list) =>
      [...list.querySelectorAll('option[data-i18n]')]
        .map(({ textContent }) => textContent)
        .filter((text) => !hasRoom(list, text, ARROW)),
    ),
  ];
  dialog.style.width = '300px';
  const colour = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (text) => {
    const [red = 0, green = 0, blue = 0] = colour(text).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    const own = getComputedStyle(element).backgroundColor;
    const isClear = own === 'transparent' || colour(own)[3] === 0;
    return isClear && element.parentElement ? background(element.parentElement) : own;
  };
  const contrast = (element) => {
    const [low = 0, high = 0] = [getComputedStyle(element).color, background(element)]
      .map(luminance)
      .sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const words = (element) => (element.textContent ?? '').trim();
  const texts = all('label span, button span, .contact-dialog-note, .contact-dialog-tip, .contact-dialog-unit, option');
  return {
    cutOff,
    nameless: all('input, select, textarea, button')
      .filter((each) => !(each.labels?.length || each.getAttribute('aria-label') || words(each)))
      .map(({ id }) => id),
    dangling: all('[aria-describedby], [aria-controls], label[for]')
      .flatMap((each) =>
        ['aria-describedby', 'aria-controls', 'for'].flatMap((name) => each.getAttribute(name)?.split(' ') ?? []),
      )
      .filter((id) => id !== '' && !document.getElementById(id)),
    tooWide: all('.form-row > *, .contact-dialog-control > *')
      .filter((each) => each.getBoundingClientRect().right > dialog.getBoundingClientRect().right + 1)
      .map(({ outerHTML }) => outerHTML.slice(0, 120)),
    // 3 is what WCAG asks of large texts and of controls; the editor's own secondary texts are below 4.5.
    pale: texts.filter((each) => words(each) && contrast(each) < 3).map((each) => `${words(each)}: ${contrast(each)}`),
    untranslated: texts.map(words).filter((text) => /^[\w-]+\.[a-z]+\.[\w.-]+$|:contact-/.test(text)),
  };
};
