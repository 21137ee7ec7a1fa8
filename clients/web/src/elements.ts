/** Elements, made and found with few words. Styles are never written inline: a strict policy forbids it. */

type Content = Node | string | null;
type Attributes = { readonly [name: string]: string | number | boolean | undefined };

/** Make an element. An attribute that is false or undefined is left out, one that is true is empty. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...contents: Content[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  setAttributes(element, attributes);
  element.append(...contents.filter((one) => one !== null));
  return element;
}

/** Make an element of a drawing. */
export function draw<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...contents: Node[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAttributes(element, attributes);
  element.append(...contents);
  return element;
}

/** Make a button that does something. `label` is for those who do not see it, where the contents say too little. */
export function button(
  contents: Content,
  onPress: (event: MouseEvent) => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const element = make("button", { type: "button", ...attributes }, contents);
  element.addEventListener("click", onPress);
  return element;
}

/** Return the element of index.html that has this id. */
export function find<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const element = document.getElementById(id);
  if (element === null) {
    throw new Error(`index.html has no #${id}`);
  }
  return element as Type;
}

/** Write text, unless it is there already: what does not change is not drawn again. */
export function write(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}
