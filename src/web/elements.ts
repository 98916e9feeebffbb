/** The page's elements, by id. */

/** @throws TypeError where index.html has none of that id and kind. */
export function byId<T extends Element = HTMLElement>(
  id: string,
  kind: new () => T = HTMLElement as never,
): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(`#${id}: expected ${kind.name}, got ${found?.tagName}`);
  return found;
}
