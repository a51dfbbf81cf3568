// Maps of headers, whose values may be lists.

/** An object without Object's properties. V8 keeps one of a class faster and smaller than one of Object.create(null). */
export class HeaderMap {}
Object.setPrototypeOf(HeaderMap.prototype, null);
Reflect.deleteProperty(HeaderMap.prototype, 'constructor');

/** The value of a header, the first if there are several; undefined when absent. Names are lower case. */
export function headerValue(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  name: string,
): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

/** Headers that concern one connection, or the proxy that it leads to (RFC 9110 section 7.6.1). */
export const connectionHeaders: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
