// Schemas of custom resources, written once: they are the OpenAPI of the CRD, and `TypeOf` is their TypeScript type. Rules are CEL
// (x-kubernetes-validations); a message says what is wrong and what to write instead.

/** As in apiextensions.k8s.io/v1 JSONSchemaProps, as far as it is used. */
export interface OpenApi {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'number';
  readonly description?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, OpenApi>>;
  readonly required?: readonly string[];
  readonly items?: OpenApi;
  readonly additionalProperties?: OpenApi;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly [keyword: string]: unknown;
}

/** A schema of values of type T; optional ones may be missing in their object. */
export interface Schema<T, Optional extends boolean = false> {
  readonly openApi: OpenApi;
  readonly isOptional: Optional;
  /** Never there: it carries the type alone. */
  readonly values?: T;
}

export type TypeOf<S> = S extends Schema<infer T, boolean> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown, boolean>>>;
type ObjectOf<F extends Fields> = {
  readonly [K in keyof F as F[K] extends Schema<unknown, true> ? never : K]: TypeOf<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends Schema<unknown, true> ? K : never]?: TypeOf<F[K]>;
};

export interface Rule {
  /** CEL; `self` is the value, `oldSelf` the one before. */
  readonly rule: string;
  readonly message: string;
  /** Where the problem is reported, relative to the value: `.taints`. */
  readonly fieldPath?: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
}

/** What every schema may have. */
export interface About {
  readonly doc: string;
  readonly rules?: readonly Rule[];
  /** Further keywords of JSONSchemaProps: `minimum`, `maxItems`, `x-kubernetes-list-type`. */
  readonly openApi?: OpenApi;
  /** Filled in by the API server; then the schema should be optional all the same: another CRD may lack it. */
  readonly default?: unknown;
}

export function text(about: About): Schema<string> {
  return made({ type: 'string' }, about);
}

export function oneOf<const Word extends string>(words: readonly Word[], about: About): Schema<Word> {
  return made({ type: 'string', enum: words }, about);
}

/** RFC 3339. */
export function time(about: About): Schema<string> {
  return made({ type: 'string', format: 'date-time' }, about);
}

export function integer(about: About, format: 'int32' | 'int64' = 'int32'): Schema<number> {
  return made({ type: 'integer', format }, about);
}

export function boolean(about: About): Schema<boolean> {
  return made({ type: 'boolean' }, about);
}

/** A number or a text, as Kubernetes' IntOrString: 3 or `10%`. */
export function integerOrText(about: About): Schema<number | string> {
  const openApi = { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] };
  return made(openApi, about);
}

export function listOf<T>(item: Schema<T>, about: About): Schema<readonly T[]> {
  return made({ type: 'array', items: item.openApi }, about);
}

/** Keys are any texts. */
export function mapOf<T>(value: Schema<T>, about: About): Schema<Readonly<Record<string, T>>> {
  return made({ type: 'object', additionalProperties: value.openApi }, about);
}

export function object<F extends Fields>(fields: F, about: About): Schema<ObjectOf<F>> {
  const required = Object.entries(fields)
    .filter(([, { isOptional }]) => !isOptional)
    .map(([name]) => name);
  return made(
    {
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      properties: Object.fromEntries(Object.entries(fields).map(([name, { openApi }]) => [name, openApi])),
    },
    about,
  );
}

/** An object whose fields are somebody else's, a pod template for one: kept as it is. */
export function anyObject<T = Readonly<Record<string, unknown>>>(about: About): Schema<T> {
  return made({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, about);
}

export function optional<T>(schema: Schema<T>): Schema<T, true> {
  return { openApi: schema.openApi, isOptional: true };
}

/** metav1.LabelSelector. */
export function labelSelector(about: About): Schema<{
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}> {
  const expression = object(
    {
      key: text({ doc: 'Key of a label.' }),
      operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist'], { doc: 'How the label is compared with values.' }),
      values: optional(
        listOf(text({ doc: 'A value.' }), {
          doc: 'For In and NotIn.',
          openApi: { 'x-kubernetes-list-type': 'atomic' },
        }),
      ),
    },
    { doc: 'One requirement.' },
  );
  return object(
    {
      matchLabels: optional(mapOf(text({ doc: 'A value.' }), { doc: 'Labels that all have to be there.' })),
      matchExpressions: optional(
        listOf(expression, {
          doc: 'Requirements that all have to hold.',
          openApi: { 'x-kubernetes-list-type': 'atomic' },
        }),
      ),
    },
    { ...about, openApi: { ...about.openApi, 'x-kubernetes-map-type': 'atomic' } },
  );
}

function made<T>(openApi: OpenApi, about: About): Schema<T> {
  const { doc, rules = [] } = about;
  return {
    isOptional: false,
    openApi: {
      description: doc,
      ...openApi,
      ...(about.default === undefined ? {} : { default: about.default }),
      ...about.openApi,
      ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }),
    },
  };
}
