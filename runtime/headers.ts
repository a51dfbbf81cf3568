// Reading single-valued headers from maps whose values may be lists.

/** The value of a header, the first if there are several; undefined when absent. Names are lower case. */
export function headerValue(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  name: string,
): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}
