// What a client of the CONNECT proxy shows. Prometheus and curl can send a bearer token; what knows only proxy URLs with a user
// and a password (HTTPS_PROXY) sends the token as the password.

/** The token in a Proxy-Authorization header; undefined when there is none that can be used. */
export function proxyToken(header: string | undefined): string | undefined {
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([^\s]+) *$/.exec(header ?? '') ?? [];
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return value;
    case 'basic': {
      const text = Buffer.from(value, 'base64').toString();
      const password = text.slice(text.indexOf(':') + 1);
      return text.includes(':') && password !== '' ? password : undefined;
    }
    default:
      return undefined;
  }
}
