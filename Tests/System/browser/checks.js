// What a page can be asked about itself. Each function returns the flaws that it finds, as texts.
({
  describe(element) {
    const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
    return `<${element.localName}> "${name.trim().slice(0, 60)}"`;
  },

  isShown(element) {
    return element.checkVisibility({ visibilityProperty: true }) && !element.closest(".hidden, .skip:not(:focus)");
  },

  // Elements that the Tab key reaches, in order.
  stops() {
    const found = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary");
    return [...found].filter((element) => element.checkVisibility() && !element.disabled);
  },

  head(language) {
    const flaws = [];
    const root = document.documentElement;
    if (root.lang !== language) flaws.push(`lang is ${root.lang}`);
    if (document.querySelectorAll("h1").length !== 1) flaws.push("there is not one h1");
    if (!/^\S.* · SmartSpec$/.test(document.title)) flaws.push(`the title is ${document.title}`);
    return flaws;
  },

  width() {
    const root = document.documentElement;
    return root.scrollWidth > root.clientWidth ? [`the page is ${root.scrollWidth} px wide`] : [];
  },

  // Buttons, fields and links of the navigation have 44 px. Links in text are targets of WCAG 2.5.8, which axe measures.
  targets() {
    const inText = (element) => element.localName === "a" && element.closest("p, li, dd, td");
    return this.stops()
      .filter((element) => this.isShown(element) && (!inText(element) || element.classList.contains("button")))
      .filter((element) => {
        const box = ["checkbox", "radio"].includes(element.type) ? element.closest(".box, label") ?? element : element;
        const { width, height } = box.getBoundingClientRect();
        return height < 44 || width < 24;
      })
      .map((element) => `${this.describe(element)} is smaller than its target`);
  },

  // Texts in the other language: Thai on an English page, words in Latin letters on a Thai page.
  texts(language, allowed) {
    const foreign = language === "th" ? /[A-Za-z]{2,}/ : /[\u0e00-\u0e7f]/;
    const isForeign = (text) => foreign.test(allowed.reduce((rest, pattern) => rest.replace(new RegExp(pattern, "g"), ""), text));
    const isMarked = (element) => element.closest("bdi, code, .user-code, script, style, time")
      || element.closest("[lang]").lang !== language;
    const flaws = [];
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { textContent, parentElement } = walker.currentNode;
      if (!isMarked(parentElement) && isForeign(textContent)) flaws.push(`not in ${language}: "${textContent.trim()}"`);
    }
    for (const element of document.querySelectorAll("[title], [aria-label], [placeholder], [alt]")) {
      for (const name of ["title", "aria-label", "placeholder", "alt"]) {
        const text = element.getAttribute(name) ?? "";
        if (!isMarked(element) && isForeign(text)) flaws.push(`not in ${language}: ${name}="${text}"`);
      }
    }
    return flaws;
  },

  // The element that has the focus: its place among the stops, and what hides its outline.
  focus() {
    const element = document.activeElement;
    const index = this.stops().indexOf(element);
    if (index < 0) return { index, flaws: [] };
    const style = getComputedStyle(element);
    const reach = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
    const flaws = [];
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) flaws.push("shows no focus");
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const root = document.documentElement;
    if (left < reach || top < reach || right + reach > root.clientWidth || bottom + reach > innerHeight) {
      flaws.push("has an outline that leaves the window");
    }
    for (let around = element.parentElement; around && around !== document.body; around = around.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(around);
      if (overflowX === "visible" && overflowY === "visible") continue;
      const box = around.getBoundingClientRect();
      if (left - reach < box.left || top - reach < box.top || right + reach > box.right || bottom + reach > box.bottom) {
        flaws.push(`has an outline that <${around.localName} class="${around.className}"> cuts`);
      }
    }
    return { index, flaws: flaws.map((flaw) => `${this.describe(element)} ${flaw}`) };
  },
})
