// What a reader of the document would stumble over, as a list of sentences.
(() => {
  const problems = [];
  const want = (fine, problem) => { if (!fine) problems.push(problem); };
  const all = (selector) => [...document.querySelectorAll(selector)];

  want(document.title.trim() !== "", "no title");
  want(all("h1").length === 1, "not exactly one h1");
  want(document.documentElement.scrollWidth <= window.innerWidth, "wider than the window");
  for (const image of all("img")) want(image.hasAttribute("alt") && image.naturalWidth > 0, "image without alternative, or broken");
  for (const link of all("a")) want(link.href && link.textContent.trim() !== "", "link without address or text");
  for (const table of all("table")) want(table.getAttribute("role") === "presentation", "table without role");
  for (const part of all("[aria-labelledby]")) want(document.getElementById(part.getAttribute("aria-labelledby")), "label that is missing");
  want(all("h1, h2, h3").every((heading, i, list) => i === 0 || heading.tagName[1] - list[i - 1].tagName[1] <= 1), "heading level left out");

  // WCAG 2.1: text has a contrast of 4.5 at least.
  const colour = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
  const luminance = ({ rgb }) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (; element; element = element.parentElement) {
      const found = colour(getComputedStyle(element).backgroundColor);
      if (found.a === 1) return found;
    }
    return null;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (text === "") continue;
    const behind = background(element);
    want(behind, `no background behind "${text}"`);
    if (!behind) continue;
    const [light, dark] = [luminance(colour(getComputedStyle(element).color)), luminance(behind)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    want(contrast >= 4.5, `contrast ${contrast.toFixed(1)} of "${text}"`);
  }
  return problems;
})()
