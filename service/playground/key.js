/** The API key, which stays in this tab and goes when it is closed. */

const NAME = "boxport.key";

export function readKey() {
  return sessionStorage.getItem(NAME) ?? undefined;
}

export function keepKey(key) {
  if (key) sessionStorage.setItem(NAME, key);
  else sessionStorage.removeItem(NAME);
}
